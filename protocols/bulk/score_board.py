"""Joins predicted with measured expression, the only place where the two meet; maps have a file of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from protocols import declared
from protocols.bulk import truth
from protocols.bulk.aligned import aligned
from protocols.bulk.answers import TRAINED, part_of, shared_genes, slides_file
from protocols.bulk.roles import named
from protocols.bulk.score import BulkScores, ScoredSlides, score_bulk
from protocols.bulk.store import BulkStore
from protocols.contract import RowArray
from protocols.declared import Answered, unanswered, worst_values
from protocols.errors import UserError
from protocols.metrics.correlation import MINIMUM_UNITS
from protocols.metrics.correlation_influence import LEAST_IN_FOLD
from protocols.metrics.gene_correlation import pearson_per_gene
from protocols.metrics.intervals import FISHER, fold_interval
from protocols.metrics.patient_values import mean_over_cohorts
from protocols.records import UNITS_FILE, ScoreRecord
from protocols.sentinels import notes_of, seen
from protocols.spatial import score_board as maps
from protocols.task import Opened, Question, Scored

SlideTable = Callable[[str, int, str], pd.DataFrame | None]
"""(cohort, fold, "trained", "untrained" or "validation") -> slide and a column a gene; None where there is none."""
Missing = Mapping[str, frozenset[str]]
"""Part (:func:`protocols.bulk.answers.part_of`) to the slides of it that were declared missing."""


def score(question: Question, answers: Path) -> Scored:
    """Score a cohort's folds and the external cohorts that its models were asked about, or its models' maps."""
    if _of_maps(question):
        return maps.score(question, answers)
    own = question.cohort.name
    missing = declared.read(answers)
    cells = slides_of(question, lambda name, n, state: _table(answers, own, name, n, state), question.where, missing)
    found = _as_scored(cells.scores(question))
    noticed = notes_of([seen(part.predicted) for part in cells.folds], "slides", "expression")
    return replace(found, notes=noticed, answered=answered(question, cells))


def score_control(question: Question, name: str) -> Scored:
    return maps.score_control(question, name)


def describe(question: Question) -> dict[str, Any]:
    """What a leaderboard says of a cohort, or of sections."""
    if _of_maps(question):
        return maps.describe(question)
    store: BulkStore = question.cohort.store
    return {
        "name": store.name,
        "phantom": store.phantom,
        "unit": "patient",
        "n_slides": len(store.slides),
        "n_patients": len(store.patients),
        "n_cells": len(store.patients),
        "n_genes": len(store.genes),
        "n_folds": len(question.split.folds),
        "published_in": list(question.cohort.entry.published_in or ()),
    }


def average(parts: Mapping[str, tuple[ScoreRecord, Path]]) -> Scored:
    """The plain mean over cohorts, from their records."""
    return _as_scored(average_bulk({name: record for name, (record, _) in parts.items()}))


def _of_maps(question: Question) -> bool:
    return question.board.cohort != question.board.fitted_on


def _table(answers: Path, own: str, cohort: str, number: int, state: str) -> pd.DataFrame | None:
    folder = answers if cohort == own else answers / cohort
    path = folder / slides_file(number, state)
    return pd.read_parquet(path) if path.exists() else None


@dataclass(frozen=True)
class Cells:
    """What is scored of a model: its folds' slides, and those of external cohorts with the genes asked there.

    A slide that a submission declared missing has no value (NaN).
    """

    folds: list[ScoredSlides]
    external: list[ScoredSlides]
    external_genes: list[tuple[str, ...]]

    @property
    def missing(self) -> int:
        return sum(int(unanswered(part.predicted).sum()) for part in (*self.folds, *self.external))

    def scores(self, question: Question) -> BulkScores:
        """All scores; a missing slide counts as the worst that the model itself answers, gene by gene."""
        return score_bulk(
            [_filled(part) for part in self.folds],
            question.cohort.store.genes,
            criteria=question.cohort.settings.criteria,
            external=[_filled(part) for part in self.external],
            external_genes=self.external_genes,
            reachable=reachable_r(question.cohort),
        )


def answered(question: Question, cells: Cells) -> Answered | None:
    """The headline over the slides that were answered; None where all were. A fold of fewer than three is left out."""
    if not cells.missing:
        return None
    kept = [_answered(part) for part in cells.folds]
    alone = Cells([part for part in kept if len(part.slide) >= MINIMUM_UNITS], [], [])
    asked = sum(len(part.slide) for part in (*cells.folds, *cells.external))
    headline = alone.scores(question).headline.mean if alone.folds else None
    return Answered(asked, cells.missing, headline, "slides")


def _filled(part: ScoredSlides) -> ScoredSlides:
    if not unanswered(part.predicted).any():
        return part
    return replace(part, predicted=worst_values(part.truth, part.predicted).astype(np.float32))


def _answered(part: ScoredSlides) -> ScoredSlides:
    kept = ~unanswered(part.predicted)
    arrays = {name: getattr(part, name)[kept] for name in ("slide", "patient", "truth", "predicted")}
    return replace(part, **arrays)


def slides_of(question: Question, read: SlideTable, where: str, missing: Missing) -> Cells:
    """Answers beside the truth, of the cohort's folds and of the external cohorts that were answered."""
    opened = question.cohort
    store: BulkStore = opened.store
    name = opened.name
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
            missing=missing,
        )
        for number, fold in enumerate(question.split.folds)
    ]
    external, columns = [], []
    for other in named(question, "external"):
        found: BulkStore = question.companions[other].store
        shared = shared_genes(store.genes, found.genes)
        if read(other, 0, TRAINED) is None:
            continue
        rows = np.arange(len(found.slides), dtype=np.int64)
        external.append(_scored(found, other, rows, shared, read, other, 0, where, missing=missing))
        columns.append(shared)
    return Cells(parts, external, columns)


def reachable_r(opened: Opened) -> np.ndarray[tuple[int], np.dtype[np.float64]] | None:
    """The phantom's best r per gene over the cohort's patients, 0 for genes that no slide shows; None off a phantom."""
    known, store = opened.entry.truth, opened.store
    if known is None:
        return None
    best = truth.of_patients(known, store.patients, store.genes).to_numpy(np.float64)
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
    missing: Missing = MappingProxyType({}),
) -> ScoredSlides:
    names = [store.slides[row].slide for row in slides]
    at = f"{where}, {cohort} fold {fold}"
    trained = read(cohort, number, TRAINED)
    if trained is None:
        raise UserError("no answer", where=at, expected="one row a slide", remedy="predict again")
    untrained = read(cohort, number, "untrained")
    checked = read(cohort, number, "validation") if kept is not None else None
    return ScoredSlides(
        name=fold,
        slide=np.array(names),
        patient=np.array([store.slides[row].patient for row in slides]),
        truth=store.expression(store.slide_patient[slides], genes),
        predicted=aligned(trained, names, genes, at, missing.get(part_of(cohort, fold), ())),
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


def average_bulk(parts: Mapping[str, ScoreRecord]) -> BulkScores:
    """The plain mean over cohorts, which are independent, of every number of the summary; counts are summed."""
    ordered = [parts[name] for name in sorted(parts)]
    by_patient = mean_over_cohorts({name: part.values for name, part in parts.items() if part.values is not None})
    summary: dict[str, float | None] = {}
    for key in ordered[0].summary:
        values = [part.summary[key] for part in ordered]
        known = [value for value in values if value is not None]
        # An external cohort belongs to one cancer: an average over those that have one would hide which.
        whole = len(known) == len(values) and not key.startswith("external")
        summary[key] = float(np.mean(known)) if whole else None
    return BulkScores(
        headline=fold_interval(by_patient, FISHER, least=0, least_in_fold=LEAST_IN_FOLD),
        summary=summary,
        counts={key: sum(part.counts[key] for part in ordered) for key in ordered[0].counts},
        values=by_patient,
        per_gene=[],
        units=pd.DataFrame(),
        bulk={"cohorts": {name: parts[name].headline.mean for name in sorted(parts)}},
    )


def _as_scored(found: BulkScores) -> Scored:
    return Scored(
        headline=found.headline,
        summary=found.summary,
        counts=found.counts,
        per_gene=found.per_gene,
        values=found.values,
        details=found.bulk,
        tables={UNITS_FILE: found.units},
    )
