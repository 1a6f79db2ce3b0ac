"""Joins maps with what the spots say, and adds the controls that read the truth."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.bulk.splitting import read_bulk_split
from protocols.bulk.store import BulkStore
from protocols.errors import UserError
from protocols.files import written_whole
from protocols.metrics.gene_correlation import pearson_per_gene, top_genes
from protocols.metrics.spatial_maps import MIN_DISTINCT, TileGrid, distinct_values, neighbour_mean
from protocols.records import Interval, ScoreRecord
from protocols.seeds import generator
from protocols.spatial.scoring import ScoredSection, SpatialScores, score_sections
from protocols.spatial.store import Section, SectionsStore
from protocols.spatial.windows import lay_windows
from suite.bulk.fold import section_genes
from suite.bulk.scoring import make_record, write_record
from suite.bulk.sections import sections_config
from suite.config import Config
from suite.places import BULK, SECTIONS, SPLITS

Float = NDArray[np.float64]
MapReader = Callable[[Section, TileGrid, tuple[str, ...], NDArray[np.bool_]], Float]
"""(section, grid of covered tiles, genes, which tiles are covered) -> values ``(tiles, genes)``."""

MAP_CONTROLS = {
    "map_shuffled": ("Control: the truth's tiles shuffled", "The truth's own values at random places: no map at all."),
    "map_neighbour_mean": (
        "Control: mean of the true neighbours",
        "Each tile gets the mean of the truth at its eight neighbours: smoothness alone, told the truth.",
    ),
}
"""Name to title and summary; they read the truth, so they are made where scores are, not by a model."""


def evaluated_genes(config: Config) -> tuple[str, ...]:
    """The genes that every model is scored on: the most variable over the bulk cohort's patients, by name.

    The cohort's patients are none of the sections', so this looks at no truth. SEQUOIA takes each model's own best 500
    genes on slides; scored beside it as the model's own genes.
    """
    entry = sections_config(config)
    store = BulkStore(BULK / entry.of)
    spread = store.expression(np.arange(len(store.patients))).std(axis=0)
    order = np.argsort(-spread, kind="stable")[: entry.genes]
    return tuple(sorted(store.genes[place] for place in order))


def own_genes(config: Config, folder: Path) -> tuple[str, ...]:
    """A model's best genes on the bulk cohort's test slides, r over all folds' slides together (SEQUOIA, Methods)."""
    entry = sections_config(config)
    store = BulkStore(BULK / entry.of)
    folds, _ = read_bulk_split(SPLITS / "tcga_expression" / entry.of)
    truth, predicted = [], []
    for number, fold in enumerate(folds):
        slides = store.slides_of(fold.test)
        table = pd.read_parquet(folder / "tcga_expression" / entry.of / f"{number:04d}.parquet").set_index("slide")
        predicted.append(table.loc[[store.slides[row].slide for row in slides], list(store.genes)].to_numpy(np.float64))
        truth.append(store.expression(store.slide_patient[slides]).astype(np.float64))
    r = pearson_per_gene(np.concatenate(truth), np.concatenate(predicted))
    return tuple(store.genes[place] for place in top_genes(r, min(entry.genes, len(r))))


def score_maps(config: Config, manifest: dict[str, Any], folder: Path) -> SpatialScores | None:
    """Score one model's maps in ``<folder>/<section>.parquet``; None where the model was not asked."""
    if manifest["cohorts"][sections_config(config).of]["skipped"]:
        return None

    def read(section: Section, grid: TileGrid, genes: tuple[str, ...], _covered: NDArray[np.bool_]) -> Float:
        return aligned_map(
            pd.read_parquet(folder / f"{section.name}.parquet"), grid, genes, f"{folder}, {section.name}"
        )

    return score_with(config, read, own_genes(config, folder.parent))


def score_with(config: Config, read: MapReader, own: tuple[str, ...]) -> SpatialScores:
    """Score maps from any source on every section."""
    entry, sections = sections_config(config), SectionsStore(SECTIONS)
    store, common = BulkStore(BULK / entry.of), set(evaluated_genes(config))
    modules = module_genes(entry.modules)
    scored = []
    for number in range(len(sections.slides)):
        section = sections.section(number)
        covered = lay_windows(section.row, section.column, sections.window, sections.stride).covered
        wanted = [gene for gene in section_genes(store, section.genes) if gene in common | set(own) | set(modules)]
        truth = section.expression[:, [section.genes.index(gene) for gene in wanted]][covered]
        enough = distinct_values(truth) >= MIN_DISTINCT
        genes = tuple(gene for gene, keep in zip(wanted, enough, strict=True) if keep)
        grid = TileGrid(section.row[covered], section.column[covered])
        scored.append(
            ScoredSection(
                name=section.name,
                patient=section.patient,
                grid=grid,
                genes=genes,
                common=np.array([gene in common for gene in genes]),
                own=np.array([gene in own for gene in genes]),
                truth=truth[:, enough],
                predicted=read(section, grid, genes, covered),
            )
        )
    return score_sections(scored, seed=config.seed, modules=modules)


def score_control(config: Config, name: str) -> SpatialScores:
    """One of :data:`MAP_CONTROLS`."""

    def read(section: Section, grid: TileGrid, genes: tuple[str, ...], covered: NDArray[np.bool_]) -> Float:
        truth = section.expression[:, [section.genes.index(gene) for gene in genes]][covered]
        if name == "map_neighbour_mean":
            return neighbour_mean(truth, grid)
        rng = generator(config.seed, "map_shuffled", section.name)
        return np.stack([rng.permutation(column) for column in truth.T], axis=1)

    return score_with(config, read, ())


def control_manifest(config: Config, name: str) -> dict[str, Any]:
    """What a record needs to know of a control that has no predictions of its own."""
    from protocols import load_bulk_protocol
    from protocols.contract import Card

    title, summary = MAP_CONTROLS[name]
    card = Card(name=name, title=title, kind="control", task="bulk", summary=summary, training_overlap="none")
    of = sections_config(config).of
    entry: dict[str, Any] = {"skipped": None, "weights": [], "cohort": BulkStore(BULK / of).hash, "inputs": name}
    entry["split"] = read_bulk_split(SPLITS / "tcga_expression" / of)[1]["hash"]
    return {
        "protocols": {"gbm_spatial": load_bulk_protocol("gbm_spatial").version},
        "model": name,
        "card": card.to_dict(),
        "profile": config.profile,
        "seed": config.seed,
        "device": "cpu",
        "libraries": {},
        "cohorts": {of: entry},
    }


def aligned_map(table: pd.DataFrame, grid: TileGrid, genes: tuple[str, ...], where: str) -> Float:
    """Values ``(tiles, genes)`` at the tiles asked for; a missing tile or gene, a tile twice and a hole are errors."""
    remedy = "hand in one row a covered tile: row, column, one column a gene"
    missing = [name for name in ("row", "column", *genes) if name not in table.columns]
    if missing:
        raise UserError(f"no column {missing[0]!r}", where=where, expected="row, column and genes", remedy=remedy)
    place = pd.MultiIndex.from_frame(table[["row", "column"]])
    if place.has_duplicates:
        raise UserError("a tile twice", where=where, expected="each once", remedy=remedy)
    asked = pd.MultiIndex.from_arrays([grid.row, grid.column])
    at = place.get_indexer(asked)
    if (at < 0).any():
        raise UserError(
            f"{int((at < 0).sum())} of {len(at)} tiles missing",
            where=where,
            expected="every covered tile",
            remedy=remedy,
        )
    values = table[list(genes)].to_numpy(np.float64)[at]
    if not np.isfinite(values).all():
        raise UserError("a value is not finite", where=where, expected="finite numbers", remedy=remedy)
    return values


def module_genes(path: Path | None) -> dict[str, tuple[str, ...]]:
    """Gene to its meta-modules, from a JSON file of modules and their genes; empty without a file."""
    if path is None:
        return {}
    try:
        listed: Mapping[str, list[str]] = json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError) as error:
        raise UserError(
            f"unreadable meta-modules ({type(error).__name__})", where=path, expected="JSON: module to genes",
            remedy="set bulk.sections.modules",
        ) from None  # fmt: skip
    found: dict[str, tuple[str, ...]] = {}
    for module, genes in listed.items():
        for gene in dict.fromkeys(genes):
            found[gene] = (*found.get(gene, ()), module)
    return found


def write_spatial_record(
    config: Config, out: Path, manifest: dict[str, Any], scores: SpatialScores | None
) -> ScoreRecord:
    """The record, each gene's scores, and the maps of each section as ``section_<name>.parquet``."""
    sections, entry = SectionsStore(SECTIONS), manifest["cohorts"][sections_config(config).of]
    fields = None
    if scores is not None:
        fields = {name: getattr(scores, name) for name in ("headline", "summary", "counts", "per_gene", "bulk")}
        fields["per_patient"] = scores.per_patient
    record = make_record(
        manifest,
        "gbm_spatial",
        "",
        entry | {"cohort": sections.hash},
        {
            "name": f"{len(sections.slides)} sections, models of {sections_config(config).of}",
            "phantom": sections.phantom,
            "unit": "tile",
            "n_slides": len(sections.slides),
            "n_patients": len({slide.patient for slide in sections.slides}),
            "n_cells": scores.counts["tiles"] if scores else 0,
            "n_folds": 1,
            "published_in": [],
        },
        fields or ({"headline": Interval(None, None, None, 0)} if not entry["skipped"] else None),
        [asdict(item) for item in sections.excluded],
    )
    write_record(out, record, scores.units if scores else None)
    if scores is not None:
        _write_maps(out, scores, sections)
    return record


def _write_maps(out: Path, scores: SpatialScores, sections: SectionsStore) -> None:
    """Percentile scores in half steps: row, column, ``truth:<gene>`` and ``predicted:<gene>``."""
    for number, name in enumerate(sections.names):
        section = sections.section(number)
        covered = lay_windows(section.row, section.column, sections.window, sections.stride).covered
        genes = scores.units.loc[scores.units["section"] == name, "gene"].tolist()
        columns: dict[str, Any] = {"row": section.row[covered], "column": section.column[covered]}
        for side, values in zip(("truth", "predicted"), scores.maps[name], strict=True):
            steps = np.round(values * 2).astype(np.uint8)
            columns |= {f"{side}:{gene}": steps[:, place] for place, gene in enumerate(genes)}
        with written_whole(out / f"section_{name}.parquet") as part:
            pd.DataFrame(columns).to_parquet(part, compression="zstd", index=False)
