"""Bulk expression and maps predicted elsewhere: joined with truth, refused if malformed, shown on the leaderboard.

A table alone has no untrained twin, so its well-predicted genes are counted without the comparisons that need one.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols import load_bulk_protocol
from protocols.bulk.scoring import BulkScores
from protocols.bulk.splitting import BulkFold, read_bulk_split
from protocols.bulk.store import BulkStore
from protocols.errors import UserError, look_up
from protocols.files import sha256_of
from protocols.metrics.spatial_maps import TileGrid
from protocols.records import ScoreRecord
from protocols.spatial.store import Section, SectionsStore
from suite.bulk.fold import TRAINED
from suite.bulk.scoring import SlideTable, score_cohort, write_bulk_records
from suite.bulk.sections import sections_config
from suite.bulk.spatial_scoring import MAP_CONTROLS, Float, aligned_map, score_with, write_spatial_record
from suite.config import Config
from suite.places import BULK, SECTIONS, SPLITS, SUBMISSIONS
from suite.submissions import predictions_only_manifest, read_table

EXTERNAL = "external"
"""The fold under which a cohort is handed in that no model was fitted on."""
WEIGHTS = [{"part": "whole model", "source": "predictions only", "revision": None, "sha256": None}]
Tables = Mapping[str, pd.DataFrame]
Scorer = Callable[[Config, str, pd.DataFrame, Path, str], list[ScoreRecord]]


def score_bulk_submission(
    config: Config, protocol_name: str, model: str | None, path: Path, note: str
) -> list[ScoreRecord]:
    """Score one table, of one model or (column ``model``) of many; each takes the place of what it handed in before.

    ``tcga_expression``: cohort, fold, slide (or patient, for all their slides), one column a gene. A cohort that occurs
    must be there whole; others count as not handed in. ``gbm_spatial``: section, row, column, one column a gene, on
    every section.
    """
    protocol = load_bulk_protocol(protocol_name)
    table = read_table(path)
    if model is not None:
        if "model" in table.columns and table["model"].nunique() > 1:
            raise UserError(
                "the table holds several models", where=path, expected="one, with --model", remedy="drop --model"
            )
        table = table.assign(model=model)
    score: Scorer = _score_maps if protocol.name == "gbm_spatial" else _score_slides
    keys = ("section", "row", "column") if protocol.name == "gbm_spatial" else ("cohort", "fold")
    for name in ("model", *keys):
        if name not in table.columns:
            expected = f"{', '.join(('model', *keys))} and one column a gene"
            raise UserError(f"no column {name!r}", where=path, expected=expected, remedy="add it")
        if table[name].isna().any():
            raise UserError(f"a row without {name}", where=path, expected="every row whole", remedy="fill it in")
    if not len(table):
        raise UserError("no row", where=path, expected="predictions", remedy="hand in a table with rows")
    for name in sorted(table["model"].astype(str).unique()):
        if name in config.bulk.models or name in MAP_CONTROLS:
            raise UserError(
                f"{name!r} is a model of params.yaml", where=path, expected="a name of its own", remedy="rename it"
            )
    records = []
    for name, part in table.groupby(table["model"].astype(str), sort=True):
        records += score(config, str(name), part, path, note)
    return records


def _manifest(
    config: Config, protocol_name: str, model: str, note: str, cohorts: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    version = load_bulk_protocol(protocol_name).version
    manifest = predictions_only_manifest(config, protocol_name, version, model, note)
    manifest["card"]["task"] = "bulk"
    return manifest | {"protocols": {protocol_name: version}, "cohorts": cohorts}


def _replaced(protocol_name: str, model: str) -> Path:
    """The model's folder, emptied: cohorts of an older table would stand beside those of this one."""
    out = SUBMISSIONS / protocol_name / model
    shutil.rmtree(out, ignore_errors=True)
    return out


def _score_slides(config: Config, model: str, table: pd.DataFrame, path: Path, note: str) -> list[ScoreRecord]:
    parts = {str(name): part for name, part in table.groupby(table["cohort"].astype(str), sort=True)}
    _refuse_unknown(config, parts, path)
    scores: dict[str, BulkScores | None] = {}
    entries, digest, folds = {}, sha256_of(path), load_bulk_protocol("tcga_expression").folds
    for name in sorted(name for name in config.bulk.discovery if name in parts):  # the order of every record
        store = BulkStore(BULK / name)
        laid, record = read_bulk_split(SPLITS / "tcga_expression" / name)
        read = _reader(name, laid, parts, path)
        scores[name] = score_cohort(config, name, laid, read, f"{path}, {model}")
        entries[name] = {
            "cohort": store.hash,
            "split": record["hash"],
            "inputs": digest,
            "skipped": None,
            "weights": WEIGHTS,
        }
        folds = len(laid)
    manifest = _manifest(config, "tcga_expression", model, note, entries)
    return write_bulk_records(config, _replaced("tcga_expression", model), manifest, scores, folds)


def _refuse_unknown(config: Config, parts: Tables, path: Path) -> None:
    """Cohorts that nobody is asked about, and external ones without the cohort whose models answer them."""
    asked = {name: entry for name, entry in config.bulk.cohorts.items() if not entry.normal}
    for name, entry in [(name, look_up(name, asked, kind="cohort", where=path)) for name in parts]:
        if entry.external is not None and entry.external not in parts:
            raise UserError(
                f"{name} without {entry.external}, whose models answer it",
                where=path,
                expected="both, since genes found in one are sought in the other",
                remedy=f"hand in the folds of {entry.external}, too",
            )


def _reader(name: str, folds: list[BulkFold], parts: Tables, path: Path) -> SlideTable:
    """Gives scoring the rows of each fold of a cohort, and of its external cohorts; no untrained twin."""

    def read(cohort: str, number: int, state: str) -> pd.DataFrame | None:
        if state != TRAINED or cohort not in parts:
            return None
        allowed = [fold.name for fold in folds] if cohort == name else [EXTERNAL]
        labels = parts[cohort]["fold"].astype(str)
        where = f"{path}, {cohort}"
        for label in labels.unique():
            look_up(label, dict.fromkeys(allowed), kind="fold", where=where)
        if allowed[number] not in set(labels):
            raise UserError(
                f"no row for fold {allowed[number]!r}", where=where, expected="every fold", remedy="predict it too"
            )
        return _by_slide(parts[cohort][labels == allowed[number]], BulkStore(BULK / cohort), where)

    return read


def _by_slide(table: pd.DataFrame, store: BulkStore, where: str) -> pd.DataFrame:
    """One row a slide. A table of patients answers for each of their slides; where it has both, they must agree."""
    owner = {slide.slide: slide.patient for slide in store.slides}
    if "slide" in table.columns:
        if "patient" in table.columns:
            given = table["slide"].astype(str).map(owner)
            wrong = table[given.notna() & (given != table["patient"].astype(str))]
            if len(wrong):
                raise UserError(
                    f"slide {wrong['slide'].iloc[0]} is not of patient {wrong['patient'].iloc[0]}", where=where,
                    expected="the patients of `slide2omics units`", remedy="mend the rows, or drop column patient",
                )  # fmt: skip
        return table
    if "patient" not in table.columns:
        raise UserError("no column 'slide'", where=where, expected="slide, or patient", remedy="add one of them")
    patient = table["patient"].astype(str)
    if patient.duplicated().any():
        twice = patient[patient.duplicated()].iloc[0]
        raise UserError(f"patient {twice} twice", where=where, expected="each once", remedy="average or drop")
    known = set(owner.values())
    strangers = [one for one in patient if one not in known]
    if strangers:
        raise UserError(
            f"{len(strangers)} patients are not of the cohort, first {strangers[0]}", where=where,
            expected="the patients of `slide2omics units`", remedy="drop them",
        )  # fmt: skip
    asked = set(patient)
    slides = pd.DataFrame([one for one in owner.items() if one[1] in asked], columns=["slide", "patient"])
    return slides.merge(table.assign(patient=patient), on="patient", how="left", validate="many_to_one")


def _score_maps(config: Config, model: str, table: pd.DataFrame, path: Path, note: str) -> list[ScoreRecord]:
    of, names = sections_config(config).of, SectionsStore(SECTIONS).names
    parts = {str(name): part for name, part in table.groupby(table["section"].astype(str), sort=True)}
    for name in parts:
        look_up(name, dict.fromkeys(names), kind="section", where=path)

    def read(section: Section, grid: TileGrid, genes: tuple[str, ...], _covered: NDArray[np.bool_]) -> Float:
        where = f"{path}, {model}, {section.name}"
        if section.name not in parts:
            raise UserError("no row of this section", where=where, expected="every section", remedy="predict it too")
        _refuse_strange_tiles(parts[section.name], grid, where)
        for gene in genes:
            if gene in table.columns and not pd.api.types.is_numeric_dtype(table[gene]):
                raise UserError(f"gene {gene} is not numeric", where=where, expected="numbers", remedy="mend it")
        return aligned_map(parts[section.name], grid, genes, where)

    scores = score_with(config, read, ())
    entry: dict[str, Any] = {"skipped": None, "weights": WEIGHTS, "cohort": BulkStore(BULK / of).hash}
    entry |= {"split": read_bulk_split(SPLITS / "tcga_expression" / of)[1]["hash"], "inputs": sha256_of(path)}
    manifest = _manifest(config, "gbm_spatial", model, note, {of: entry})
    return [write_spatial_record(config, _replaced("gbm_spatial", model), manifest, scores)]


def _refuse_strange_tiles(table: pd.DataFrame, grid: TileGrid, where: str) -> None:
    asked = pd.MultiIndex.from_arrays([grid.row, grid.column])
    given = pd.MultiIndex.from_frame(table[["row", "column"]])
    strange = given[~given.isin(asked)]
    if len(strange):
        raise UserError(
            f"{len(strange)} tiles are not asked for, first row {strange[0][0]}, column {strange[0][1]}",
            where=where,
            expected="tiles that a window covers",
            remedy="see `slide2omics units gbm_spatial`",
        )
