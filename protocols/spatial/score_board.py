"""Joins maps with what the spots say, and adds the controls that read the truth."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.bulk.answers import TRAINED, section_genes, slides_file
from protocols.errors import UserError
from protocols.metrics.gene_correlation import pearson_per_gene, top_genes
from protocols.metrics.spatial_maps import MIN_DISTINCT, TileGrid, distinct_values, neighbour_mean
from protocols.records import UNITS_FILE
from protocols.seeds import generator
from protocols.spatial.score import ScoredSection, SpatialScores, score_sections
from protocols.spatial.store import Section, SectionsStore
from protocols.spatial.windows import lay_windows
from protocols.task import Question, Scored

Float = NDArray[np.float64]
MapReader = Callable[[Section, TileGrid, tuple[str, ...], NDArray[np.bool_]], Float]
"""(section, grid of covered tiles, genes, which tiles are covered) -> values ``(tiles, genes)``."""


def score(question: Question, answers: Path) -> Scored:
    """Score one model's maps, ``<answers>/<sections>/<section>.parquet``, beside its answers for slides if any."""
    folder = answers / question.board.cohort

    def read(section: Section, grid: TileGrid, genes: tuple[str, ...], _covered: NDArray[np.bool_]) -> Float:
        table = pd.read_parquet(folder / f"{section.name}.parquet")
        return aligned_map(table, grid, genes, f"{question.where}, {section.name}")

    answered = (answers / slides_file(0, TRAINED)).exists()
    return _as_scored(question, score_with(question, read, own_genes(question, answers) if answered else ()))


def describe(question: Question) -> dict[str, Any]:
    """What a leaderboard says of sections."""
    sections: SectionsStore = question.opened(question.board.cohort).store
    covered = 0
    for number in range(len(sections.slides)):
        section = sections.section(number)
        covered += int(lay_windows(section.row, section.column, sections.window, sections.stride).covered.sum())
    return {
        "name": f"{len(sections.slides)} sections, models of {question.board.fitted_on}",
        "phantom": sections.phantom,
        "unit": "tile",
        "n_slides": len(sections.slides),
        "n_patients": len({slide.patient for slide in sections.slides}),
        "n_cells": covered,
        "n_folds": 1,
        "published_in": list(question.opened(question.board.cohort).entry.published_in or ()),
    }


def evaluated_genes(question: Question) -> tuple[str, ...]:
    """The genes that every model is scored on: the most variable over the bulk cohort's patients, by name.

    The cohort's patients are none of the sections', so this looks at no truth. SEQUOIA takes each model's own best 500
    genes on slides; scored beside it as the model's own genes.
    """
    entry, store = question.opened(question.board.cohort).entry, question.cohort.store
    spread = store.expression(np.arange(len(store.patients))).std(axis=0)
    order = np.argsort(-spread, kind="stable")[: entry.genes]
    return tuple(sorted(store.genes[place] for place in order))


def own_genes(question: Question, answers: Path) -> tuple[str, ...]:
    """A model's best genes on the bulk cohort's test slides, r over all folds' slides together (SEQUOIA, Methods)."""
    entry, store = question.opened(question.board.cohort).entry, question.cohort.store
    truth, predicted = [], []
    for number, fold in enumerate(question.split.folds):
        slides = store.slides_of(fold.test)
        table = pd.read_parquet(answers / slides_file(number, TRAINED)).set_index("slide")
        predicted.append(table.loc[[store.slides[row].slide for row in slides], list(store.genes)].to_numpy(np.float64))
        truth.append(store.expression(store.slide_patient[slides]).astype(np.float64))
    r = pearson_per_gene(np.concatenate(truth), np.concatenate(predicted))
    return tuple(store.genes[place] for place in top_genes(r, min(entry.genes, len(r))))


def score_with(question: Question, read: MapReader, own: tuple[str, ...]) -> SpatialScores:
    """Score maps from any source on every section."""
    opened = question.opened(question.board.cohort)
    entry, sections = opened.entry, opened.store
    store, common = question.cohort.store, set(evaluated_genes(question))
    modules = module_genes(entry.modules)
    scored = []
    for number in range(len(sections.slides)):
        section = sections.section(number)
        covered = lay_windows(section.row, section.column, sections.window, sections.stride).covered
        wanted = [
            gene for gene in section_genes(store.genes, section.genes) if gene in common | set(own) | set(modules)
        ]
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
    return score_sections(scored, seed=question.seed, modules=modules)


def score_control(question: Question, name: str) -> Scored:
    """One of the protocol's controls, which read the truth."""

    def read(section: Section, grid: TileGrid, genes: tuple[str, ...], covered: NDArray[np.bool_]) -> Float:
        truth = section.expression[:, [section.genes.index(gene) for gene in genes]][covered]
        if name == "map_neighbour_mean":
            return neighbour_mean(truth, grid)
        rng = generator(question.seed, "map_shuffled", section.name)
        return np.stack([rng.permutation(column) for column in truth.T], axis=1)

    return _as_scored(question, score_with(question, read, ()))


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
            remedy="set the cohort's modules",
        ) from None  # fmt: skip
    found: dict[str, tuple[str, ...]] = {}
    for module, genes in listed.items():
        for gene in dict.fromkeys(genes):
            found[gene] = (*found.get(gene, ()), module)
    return found


def _as_scored(question: Question, found: SpatialScores) -> Scored:
    tables = {UNITS_FILE: found.units, **_maps(found, question.opened(question.board.cohort).store)}
    return Scored(
        headline=found.headline,
        summary=found.summary,
        counts=found.counts,
        per_patient=found.per_patient,
        per_gene=found.per_gene,
        details=found.bulk,
        tables=tables,
    )


def _maps(scores: SpatialScores, sections: SectionsStore) -> dict[str, pd.DataFrame]:
    """Percentile scores in half steps: row, column, ``truth:<gene>`` and ``predicted:<gene>``."""
    found = {}
    for number, name in enumerate(sections.names):
        section = sections.section(number)
        covered = lay_windows(section.row, section.column, sections.window, sections.stride).covered
        genes = scores.units.loc[scores.units["section"] == name, "gene"].tolist()
        columns: dict[str, Any] = {"row": section.row[covered], "column": section.column[covered]}
        for side, values in zip(("truth", "predicted"), scores.maps[name], strict=True):
            steps = np.round(values * 2).astype(np.uint8)
            columns |= {f"{side}:{gene}": steps[:, place] for place, gene in enumerate(genes)}
        found[f"section_{name}.parquet"] = pd.DataFrame(columns)
    return found
