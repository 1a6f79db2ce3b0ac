"""Joins predicted with measured expression, the only place where the two meet: one record a cohort, and an average."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from protocols import load_bulk_protocol
from protocols.bulk.scoring import PERCENTILES, BulkScores, ScoredSlides, score_bulk
from protocols.bulk.splitting import BulkFold
from protocols.bulk.store import BulkStore
from protocols.contract import FloatArray, RowArray
from protocols.errors import UserError
from protocols.files import write_text_whole, written_whole
from protocols.metrics.gene_correlation import pearson_per_gene
from protocols.records import AVERAGE, RECORD_FILE, UNITS_FILE, Interval, ScoreRecord
from suite.bulk.cohorts import bulk_config
from suite.config import Config
from suite.places import BULK

SlideTable = Callable[[str, int, str], pd.DataFrame | None]
"""(cohort, fold, "trained", "untrained" or "validation") -> slide and a column a gene; None where there is none."""


def score_cohort(config: Config, name: str, folds: list[BulkFold], read: SlideTable, where: str) -> BulkScores:
    """Score one cohort's folds and the external cohorts that its models were asked about."""
    store = BulkStore(BULK / name)
    parts = [
        _scored(
            store,
            fold.name,
            store.slides_of(fold.test),
            store.genes,
            read,
            name,
            number,
            where,
            kept=store.slides_of(fold.validation),
        )
        for number, fold in enumerate(folds)
    ]
    external, columns = [], []
    for other in config.bulk.external_of(name):
        found = BulkStore(BULK / other)
        shared = tuple(gene for gene in store.genes if gene in set(found.genes))
        if read(other, 0, "trained") is None:
            continue
        rows = np.arange(len(found.slides), dtype=np.int64)
        external.append(_scored(found, other, rows, shared, read, other, 0, where))
        columns.append(shared)
    return score_bulk(
        parts,
        store.genes,
        seed=config.seed,
        criteria=config.bulk.criteria,
        external=external,
        external_genes=columns,
        reachable=reachable_r(config, name, store),
    )


def reachable_r(config: Config, name: str, store: BulkStore) -> np.ndarray[tuple[int], np.dtype[np.float64]] | None:
    """The phantom's best r per gene over the cohort's patients, 0 for genes that no slide shows; None off a phantom."""
    truth = bulk_config(config, name).truth
    if truth is None:
        return None
    table = pd.read_parquet(truth).set_index("patient").reindex(list(store.patients))
    best = table[list(store.genes)].to_numpy(np.float64)
    measured = store.expression(np.arange(len(store.patients)))
    return np.asarray(pearson_per_gene(measured.astype(np.float64), best))


def _scored(
    store: BulkStore,
    fold: str,
    slides: RowArray,
    genes: tuple[str, ...],
    read: SlideTable,
    cohort: str,
    number: int,
    where: str,
    kept: RowArray | None = None,
) -> ScoredSlides:
    names = [store.slides[row].slide for row in slides]
    at = f"{where}, {cohort} fold {fold}"
    trained = read(cohort, number, "trained")
    if trained is None:
        raise UserError("no answer", where=at, expected="one row a slide", remedy="predict again")
    untrained = read(cohort, number, "untrained")
    checked = read(cohort, number, "validation") if kept is not None else None
    return ScoredSlides(
        name=fold,
        slide=np.array(names),
        patient=np.array([store.slides[row].patient for row in slides]),
        truth=store.expression(store.slide_patient[slides], genes),
        predicted=aligned(trained, names, genes, at),
        untrained=None if untrained is None else aligned(untrained, names, genes, at),
        validation=None if checked is None or kept is None else _validation(store, fold, kept, genes, checked, at),
    )


def _validation(
    store: BulkStore, fold: str, slides: RowArray, genes: tuple[str, ...], table: pd.DataFrame, where: str
) -> ScoredSlides:
    names = [store.slides[row].slide for row in slides]
    return ScoredSlides(
        name=fold,
        slide=np.array(names),
        patient=np.array([store.slides[row].patient for row in slides]),
        truth=store.expression(store.slide_patient[slides], genes),
        predicted=aligned(table, names, genes, f"{where}, validation"),
    )


def aligned(table: pd.DataFrame, slides: list[str], genes: tuple[str, ...], where: str) -> FloatArray:
    """Values ``(slides, genes)`` in the order asked for; refuses missing columns, slides and what is not a number."""
    remedy = "hand in one row a slide, one column a gene"
    if "slide" not in table.columns:
        raise UserError("no column 'slide'", where=where, expected="slide and genes", remedy=remedy)
    missing = [gene for gene in genes if gene not in table.columns]
    if missing:
        raise UserError(
            f"{len(missing)} of {len(genes)} genes missing, first {missing[0]}", where=where,
            expected="every gene of the cohort", remedy=remedy,
        )  # fmt: skip
    given = table["slide"].astype(str)
    if given.duplicated().any():
        twice = given[given.duplicated()].iloc[0]
        raise UserError(f"slide {twice} twice", where=where, expected="each once", remedy=remedy)
    for found, other, what in ((set(given), set(slides), "are not test slides"), (set(slides), set(given), "missing")):
        odd = sorted(found - other)
        if odd:
            raise UserError(
                f"{len(odd)} slides {what}, first {odd[0]}", where=where, expected="the fold's test slides",
                remedy="see `slide2omics units tcga_expression` for what is tested where",
            )  # fmt: skip
    values = table.assign(slide=given).set_index("slide").loc[slides, list(genes)]
    if not all(pd.api.types.is_numeric_dtype(kind) for kind in values.dtypes):
        raise UserError("a gene is not numeric", where=where, expected="numbers", remedy=remedy)
    array: FloatArray = values.to_numpy(np.float32)
    if not np.isfinite(array).all():
        raise UserError("a value is not finite", where=where, expected="finite numbers", remedy=remedy)
    return array


def average_bulk(parts: Mapping[str, BulkScores]) -> BulkScores:
    """The plain mean over cohorts, which are independent, of every number of the summary; counts are summed."""
    ordered = [parts[name] for name in sorted(parts)]
    replicates = np.mean([part.replicates for part in ordered], axis=0)
    summary: dict[str, float | None] = {}
    for key in ordered[0].summary:
        values = [part.summary[key] for part in ordered]
        known = [value for value in values if value is not None]
        # An external cohort belongs to one cancer: an average over those that have one would hide which.
        whole = len(known) == len(values) and not key.startswith("external")
        summary[key] = float(np.mean(known)) if whole else None
    low, high = np.percentile(replicates, PERCENTILES)
    patients = sum(part.headline.n_patients for part in ordered)
    return BulkScores(
        headline=Interval(summary["pearson_mean"], float(low), float(high), patients),
        summary=summary,
        counts={key: sum(part.counts[key] for part in ordered) for key in ordered[0].counts},
        replicates=replicates.tolist(),
        per_gene=[],
        units=pd.DataFrame(),
        bulk={"cohorts": {name: parts[name].headline.mean for name in sorted(parts)}},
    )


def describe(config: Config, name: str, folds: int) -> dict[str, Any]:
    """What a leaderboard says of a cohort."""
    store = BulkStore(BULK / name)
    return {
        "name": store.name,
        "phantom": store.phantom,
        "unit": "patient",
        "n_slides": len(store.slides),
        "n_patients": len(store.patients),
        "n_cells": len(store.patients),
        "n_genes": len(store.genes),
        "n_folds": folds,
        "published_in": list(bulk_config(config, name).published_in),
    }


def make_record(
    manifest: dict[str, Any],
    protocol_name: str,
    board: str,
    entry: dict[str, Any],
    cohort: dict[str, Any],
    scored: Mapping[str, Any] | None,
    excluded: list[dict[str, str]],
) -> ScoreRecord:
    """One record of either protocol; ``scored`` holds the fields that scoring fills, None where the cell is skipped."""
    protocol = load_bulk_protocol(protocol_name)
    return ScoreRecord(
        protocol=protocol.name,
        protocol_version=str(manifest["protocols"][protocol.name]),
        protocol_title=protocol.title,
        model=manifest["model"],
        kind=manifest["card"]["kind"],
        status="scored" if scored else "skipped",
        reason=entry["skipped"] or "",
        card=manifest["card"],
        weights=entry["weights"],
        profile=manifest["profile"],
        seed=manifest["seed"],
        device=manifest["device"],
        libraries=manifest["libraries"],
        cohort=cohort,
        hashes={key: str(entry[key]) for key in ("cohort", "split", "inputs")},
        excluded=excluded,
        task="spatial" if protocol.name == "gbm_spatial" else "bulk",
        board=board,
        **(scored or {"headline": Interval(None, None, None, 0)}),
    )


def write_record(out: Path, record: ScoreRecord, units: pd.DataFrame | None) -> ScoreRecord:
    out.mkdir(parents=True, exist_ok=True)
    with written_whole(out / UNITS_FILE) as part:
        (pd.DataFrame() if units is None else units).to_parquet(part, compression="zstd", index=False)
    write_text_whole(out / RECORD_FILE, record.to_json())
    return record


def write_bulk_records(
    config: Config, out: Path, manifest: dict[str, Any], scores: dict[str, BulkScores | None], folds: int
) -> list[ScoreRecord]:
    """Write ``<out>/<cohort>/`` for every cohort (None: skipped) and ``<out>/average/`` where every part was scored."""
    records = []
    for name, found in scores.items():
        entry, store = manifest["cohorts"][name], BulkStore(BULK / name)
        excluded = [asdict(item) for item in store.excluded]
        record = make_record(
            manifest, "tcga_expression", name, entry, describe(config, name, folds), _fields(found), excluded
        )
        records.append(write_record(out / name, record, found.units if found else None))
    averaged = {name: scores.get(name) for name in config.bulk.average}
    whole = {name: found for name, found in averaged.items() if found is not None}
    if whole and len(whole) == len(averaged):
        parts = [record for record in records if record.board in whole]
        mean = average_bulk(whole)
        description = {
            "name": " + ".join(part.board for part in parts),
            "phantom": all(part.cohort["phantom"] for part in parts),
            "unit": "patient",
            "published_in": [],
            **{
                key: sum(part.cohort[key] for part in parts) for key in ("n_slides", "n_patients", "n_cells", "n_folds")
            },
        }
        entry = {
            "skipped": None,
            "weights": parts[0].weights,
            **{key: "+".join(part.hashes[key] for part in parts) for key in ("cohort", "split", "inputs")},
        }
        record = make_record(manifest, "tcga_expression", AVERAGE, entry, description, _fields(mean), [])
        records.append(write_record(out / AVERAGE, record, mean.units))
    return records


def _fields(scores: BulkScores | None) -> dict[str, Any] | None:
    if scores is None:
        return None
    names = ("headline", "summary", "counts", "replicates", "per_gene", "bulk")
    return {name: getattr(scores, name) for name in names}
