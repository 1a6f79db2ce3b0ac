"""Joins probabilities with outcomes, the only place where the two meet."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from protocols import declared
from protocols.declared import Answered
from protocols.metrics.binary import auc
from protocols.records import UNITS_FILE
from protocols.response.answers import aligned, fold_file
from protocols.response.score import ScoredFold, score_folds
from protocols.response.store import ResponseStore
from protocols.sentinels import notes_of, seen
from protocols.splits import Fold
from protocols.task import Question, Scored


def score(question: Question, answers: Path) -> Scored:
    """Score one cohort's folds; ``answers`` holds a table a fold."""
    missing = declared.read(answers)
    store, where = question.cohort.store, question.where
    folds = [
        _scored(store, fold, answers / fold_file(number), where, missing.get(fold.name, ()))
        for number, fold in enumerate(question.split.folds)
    ]
    found = score_folds(folds)
    return Scored(
        headline=found.headline,
        summary=found.summary,
        counts=found.counts,
        values=found.values,
        details=found.details,
        tables={UNITS_FILE: found.units},
        notes=notes_of([seen(fold.probability) for fold in folds], "patients", "probability"),
        answered=answered(folds),
    )


def answered(folds: Sequence[ScoredFold]) -> Answered | None:
    """AUC over the patients who were answered, mean over folds; None where all were."""
    known = [~np.isnan(fold.probability) for fold in folds]
    missing = sum(int((~one).sum()) for one in known)
    if not missing:
        return None
    within = [auc(fold.response[one], fold.probability[one]) for fold, one in zip(folds, known, strict=True)]
    defined = [value for value in within if value is not None]
    asked = sum(len(one) for one in known)
    return Answered(asked, missing, float(np.mean(defined)) if defined else None, "patients")


def describe(question: Question) -> dict[str, Any]:
    """What a leaderboard says of a cohort of treated patients; a response is what it counts as an event."""
    opened, split = question.cohort, question.split
    store: ResponseStore = opened.store
    tested = np.unique(np.concatenate([fold.test for fold in split.folds]))
    return {
        "name": store.name,
        "phantom": store.phantom,
        "unit": "patient",
        "endpoint": store.endpoint,
        "n_slides": 0,
        "n_patients": len(tested),
        "n_events": int(store.response[tested].sum()),
        "n_cells": len(tested),
        "n_folds": len(split.folds),
        "n_clinical_features": len(store.clinical_features),
        "n_protein_features": len(store.protein_features),
        "published_in": list(opened.entry.published_in or ()),
    }


def _scored(store: ResponseStore, fold: Fold, path: Path, where: str, missing: Collection[str]) -> ScoredFold:
    table = pq.read_table(path, use_threads=False).to_pandas(use_threads=False)
    ordered = aligned(table, [store.patients[row] for row in fold.test], f"{where}, fold {fold.name}", missing)
    return ScoredFold(
        name=fold.name,
        patient=ordered["patient"].to_numpy(str),
        response=store.response[fold.test],
        probability=ordered["probability"].to_numpy(np.float64),
    )
