"""Joins generated with scanned IHC images, the only place where the two meet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from protocols.metrics.h_score import THRESHOLDS, h_score_of_label
from protocols.records import UNITS_FILE
from protocols.splits import Fold
from protocols.staining.answers import fold_file, read_images
from protocols.staining.score import ScoredTiles, score_tiles
from protocols.staining.store import IhcStore
from protocols.task import Question, Scored

SAMPLES_FILE = "samples.npy"


def score(question: Question, answers: Path) -> Scored:
    """Score one marker of one cohort; ``answers`` holds one array of images a fold."""
    settings, entry = question.cohort.settings, question.cohort.entry
    folds = [_scored(question, fold, answers / fold_file(number)) for number, fold in enumerate(question.split.folds)]
    found = score_tiles(
        folds, question.board.part, mpp=entry.mpp * settings.downscale, seed=question.seed, shift_px=settings.shift_px
    )

    def write_samples(path: Path) -> None:
        with path.open("wb") as file:
            np.save(file, found.samples, allow_pickle=False)

    return Scored(
        headline=found.headline,
        summary=found.summary,
        counts=found.counts,
        per_patient=found.per_patient,
        details=found.image,
        tables={UNITS_FILE: found.units},
        files={SAMPLES_FILE: write_samples},
    )


def describe(question: Question) -> dict[str, Any]:
    """What a leaderboard says of one marker of a cohort."""
    store, marker = question.cohort.store, question.board.part
    rows = store.rows_of(marker)
    return {
        "name": f"{store.name}, {marker}",
        "phantom": store.phantom,
        "unit": "patch",
        "n_slides": 0,
        "n_patients": len(set(store.patient[rows].tolist()) - {""}),
        "n_cells": len(rows),
        "n_folds": len(question.split.folds),
        "published_in": list(question.cohort.entry.published_in or ()),
    }


def _scored(question: Question, fold: Fold, path: Path) -> ScoredTiles:
    store: IhcStore = question.cohort.store
    entry, marker = question.cohort.entry, question.board.part
    rows = store.rows_of(marker, fold.test)
    tiles = store.tiles(rows)
    return ScoredTiles(
        name=fold.name,
        tile=tiles.name,
        patch=store.name_of[tiles.patch],
        patient=store.patient[tiles.patch],
        he=store.reader("he", tiles),
        truth=store.reader("ihc", tiles),
        predicted=read_images(path, len(tiles)),
        registered=store.aligned_reader(entry.aligned, tiles) if entry.aligned else None,
        reference=references(store, marker, rows),
    )


def references(store: IhcStore, marker: str, rows: Any) -> dict[str, float]:
    """H-score of each labelled patch by name, nuclei of the IHC as denominator; discarded and unlabelled have none."""
    found: dict[str, float] = {}
    for row in rows.tolist() if marker in THRESHOLDS else ():
        flag, values = str(store.table["flag"].iloc[row]), store.dab(row, scored=False)
        if values is None or not flag:
            continue
        scored = h_score_of_label(flag, int(store.table["he_nuclei"].iloc[row]), values.astype(np.float64), marker)
        if scored.value is not None:
            found[str(store.name_of[row])] = scored.value
    return found
