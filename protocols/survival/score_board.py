"""Joins risks with follow-up, the only place where the two meet."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from protocols import declared
from protocols.declared import Answered
from protocols.metrics.concordance import harrell
from protocols.records import UNITS_FILE, ScoreRecord
from protocols.sentinels import notes_of, seen
from protocols.splits import Fold
from protocols.survival.answers import aligned, curves_of, fold_file
from protocols.survival.score import ScoredFold, SurvivalScores, average_scores, score_folds
from protocols.survival.store import PatientStore
from protocols.task import Question, Scored


def score(question: Question, answers: Path) -> Scored:
    """Score one cohort's folds; ``answers`` holds a table a fold."""
    store, where = question.cohort.store, question.where
    missing = declared.read(answers)
    folds = [
        _scored(store, fold, _table(answers / fold_file(number)), where, missing.get(fold.name, ()))
        for number, fold in enumerate(question.split.folds)
    ]
    found = _as_scored(score_folds(folds))
    time = np.concatenate([fold.time[~np.isnan(fold.risk)] for fold in folds])
    noticed = notes_of([seen(fold.risk) for fold in folds], "patients", "risk", time=time)
    return replace(found, notes=noticed, answered=answered(folds))


def answered(folds: Sequence[ScoredFold]) -> Answered | None:
    """Harrell's C over the pairs of patients who were answered, mean over folds; None where all were."""
    known = [~np.isnan(fold.risk) for fold in folds]
    missing = sum(int((~one).sum()) for one in known)
    if not missing:
        return None
    within = [harrell(f.time[one], f.event[one], f.risk[one]).value for f, one in zip(folds, known, strict=True)]
    defined = [value for value in within if value is not None]
    asked = sum(len(fold.risk) for fold in folds)
    return Answered(asked, missing, float(np.mean(defined)) if defined else None, "patients")


def average(parts: Mapping[str, tuple[ScoreRecord, Path]]) -> Scored:
    """The plain mean over cohorts, from their records."""
    return _as_scored(average_scores({name: _scores_of(record, folder) for name, (record, folder) in parts.items()}))


def describe(question: Question) -> dict[str, Any]:
    """What a leaderboard says of a cohort of patients."""
    opened, split = question.cohort, question.split
    store: PatientStore = opened.store
    tested = np.unique(np.concatenate([fold.test for fold in split.folds]))
    return {
        "name": store.info.name,
        "phantom": store.info.phantom,
        "unit": "patient",
        "endpoint": store.info.endpoint,
        "n_slides": len(store.slides),
        "n_patients": len(tested),
        "n_events": int(store.event[tested].sum()),
        "n_cells": len(tested),
        "n_folds": len(split.folds),
        "n_genomic_features": len(store.genomic_features),
        "n_clinical_features": len(store.clinical_features),
        "published_in": list(opened.entry.published_in or ()),
    }


def _table(path: Path) -> pd.DataFrame:
    table: pd.DataFrame = pq.read_table(path, use_threads=False).to_pandas(use_threads=False)
    return table


def _scored(store: PatientStore, fold: Fold, table: pd.DataFrame, where: str, missing: Collection[str]) -> ScoredFold:
    at = f"{where}, fold {fold.name}"
    ordered = aligned(table, [store.patients[row] for row in fold.test], at, missing)
    times, survival = curves_of(ordered, at)
    return ScoredFold(
        name=fold.name,
        patient=ordered["patient"].to_numpy(str),
        time=store.time[fold.test],
        event=store.event[fold.test],
        risk=ordered["risk"].to_numpy(np.float64),
        train_time=store.time[fold.train],
        train_event=store.event[fold.train],
        times=times,
        survival=survival,
    )


def _as_scored(found: SurvivalScores) -> Scored:
    return Scored(
        headline=found.headline,
        summary=found.summary,
        counts=found.counts,
        values=found.values,
        details=found.survival,
        tables={UNITS_FILE: found.units},
    )


def _scores_of(record: ScoreRecord, folder: Path) -> SurvivalScores:
    return SurvivalScores(
        headline=record.headline,
        summary=record.summary,
        counts=record.counts,
        values=record.values,
        survival=record.details,
        units=pd.read_parquet(folder / UNITS_FILE),
    )
