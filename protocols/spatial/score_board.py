"""Joins maps with what the spots say, and adds the controls that read the truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols import declared
from protocols.bulk.answers import TRAINED, slides_file
from protocols.declared import Answered, unanswered, worst_values
from protocols.metrics.correlation import MINIMUM_UNITS
from protocols.metrics.gene_correlation import pearson_per_gene, top_genes
from protocols.metrics.spatial_maps import TileGrid, neighbour_mean
from protocols.records import UNITS_FILE
from protocols.seeds import generator
from protocols.sentinels import notes_of, seen
from protocols.spatial.aligned import aligned_map
from protocols.spatial.asked import AskedSection, asked_sections, covered, evaluated_genes, module_genes
from protocols.spatial.score import ScoredSection, SpatialScores, score_sections
from protocols.spatial.store import SectionsStore
from protocols.task import Question, Scored

Float = NDArray[np.float64]
MapReader = Callable[[AskedSection], Float]
"""What is asked of a section -> values ``(tiles, genes)``."""


def score(question: Question, answers: Path) -> Scored:
    """Score one model's maps, ``<answers>/<sections>/<section>.parquet``, beside its answers for slides if any."""
    folder, missing = answers / question.board.cohort, declared.read(answers)

    def read(asked: AskedSection) -> Float:
        name = asked.section.name
        table = pd.read_parquet(folder / f"{name}.parquet")
        return aligned_map(table, asked.grid, asked.genes, f"{question.where}, {name}", missing.get(name, ()))

    of_slides = (answers / slides_file(0, TRAINED)).exists()
    sections = scored_sections(question, read, own_genes(question, answers) if of_slides else ())
    noticed = notes_of([seen(section.predicted) for section in sections], "tiles", "expression", of="sections")
    found = _as_scored(question, _scores(question, [_filled(section) for section in sections]))
    return replace(found, notes=noticed, answered=answered(question, sections))


def answered(question: Question, sections: list[ScoredSection]) -> Answered | None:
    """The headline over the tiles that were answered; None where all were. A section of under three is left out."""
    kept = [~unanswered(section.predicted) for section in sections]
    missing = sum(int((~one).sum()) for one in kept)
    if not missing:
        return None
    alone = [_tiles(section, one) for section, one in zip(sections, kept, strict=True) if one.sum() >= MINIMUM_UNITS]
    headline = _scores(question, alone).headline.mean if alone else None
    return Answered(sum(map(len, kept)), missing, headline, "tiles")


def _filled(section: ScoredSection) -> ScoredSection:
    """A missing tile counts as the worst that the model itself answers on the section, gene by gene."""
    if not unanswered(section.predicted).any():
        return section
    return replace(section, predicted=worst_values(section.truth, section.predicted))


def _tiles(section: ScoredSection, kept: NDArray[np.bool_]) -> ScoredSection:
    grid = TileGrid(section.grid.row[kept], section.grid.column[kept])
    return replace(section, grid=grid, truth=section.truth[kept], predicted=section.predicted[kept])


def describe(question: Question) -> dict[str, Any]:
    """What a leaderboard says of sections."""
    sections: SectionsStore = question.opened(question.board.cohort).store
    tiles = sum(int(covered(sections, sections.section(number)).sum()) for number in range(len(sections.slides)))
    return {
        "name": f"{len(sections.slides)} sections, models of {question.board.fitted_on}",
        "phantom": sections.phantom,
        "unit": "tile",
        "n_slides": len(sections.slides),
        "n_patients": len({slide.patient for slide in sections.slides}),
        "n_cells": tiles,
        "n_folds": 1,
        "published_in": list(question.opened(question.board.cohort).entry.published_in or ()),
    }


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
    return _scores(question, scored_sections(question, read, own))


def scored_sections(question: Question, read: MapReader, own: tuple[str, ...]) -> list[ScoredSection]:
    common = set(evaluated_genes(question))
    return [
        ScoredSection(
            name=asked.section.name,
            patient=asked.section.patient,
            grid=asked.grid,
            genes=asked.genes,
            common=np.array([gene in common for gene in asked.genes]),
            own=np.array([gene in own for gene in asked.genes]),
            truth=asked.truth,
            predicted=read(asked),
        )
        for asked in asked_sections(question, own)
    ]


def _scores(question: Question, sections: list[ScoredSection]) -> SpatialScores:
    modules = module_genes(question.opened(question.board.cohort).entry.modules)
    return score_sections(sections, seed=question.seed, modules=modules)


def score_control(question: Question, name: str) -> Scored:
    """One of the protocol's controls, which read the truth."""

    def read(asked: AskedSection) -> Float:
        if name == "map_neighbour_mean":
            return neighbour_mean(asked.truth, asked.grid)
        rng = generator(question.seed, "map_shuffled", asked.section.name)
        return np.stack([rng.permutation(column) for column in asked.truth.T], axis=1)

    return _as_scored(question, score_with(question, read, ()))


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
        kept = covered(sections, section)
        genes = scores.units.loc[scores.units["section"] == name, "gene"].tolist()
        columns: dict[str, Any] = {"row": section.row[kept], "column": section.column[kept]}
        for side, values in zip(("truth", "predicted"), scores.maps[name], strict=True):
            steps = np.round(values * 2).astype(np.uint8)
            columns |= {f"{side}:{gene}": steps[:, place] for place, gene in enumerate(genes)}
        found[f"section_{name}.parquet"] = pd.DataFrame(columns)
    return found
