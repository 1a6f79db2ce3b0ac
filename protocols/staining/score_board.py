"""Joins generated with scanned IHC images, the only place where the two meet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from protocols import declared
from protocols.contract import CropArray, RowArray
from protocols.declared import Answered
from protocols.metrics.h_score import THRESHOLDS, h_score_of_label
from protocols.records import UNITS_FILE
from protocols.sentinels import joined, notes_of, seen
from protocols.splits import Fold
from protocols.staining.answers import fold_file, read_images
from protocols.staining.score import AT_ONCE, Images, ScoredTiles, score_tiles, worst_images
from protocols.staining.store import IhcStore
from protocols.task import Question, Scored

if TYPE_CHECKING:
    import pandas as pd

SAMPLES_FILE = "samples.npy"


def score(question: Question, answers: Path) -> Scored:
    """Score one marker of one cohort; ``answers`` holds one array of images a fold."""
    settings, entry = question.cohort.settings, question.cohort.entry
    missing = declared.read(answers)
    folds = [
        _scored(question, fold, answers / fold_file(number), missing.get(fold.name, frozenset()))
        for number, fold in enumerate(question.split.folds)
    ]
    found = score_tiles(folds, question.board.part, mpp=entry.mpp * settings.downscale, shift_px=settings.shift_px)
    looked_at = [joined([seen(images) for images in _given(fold)]) for fold in folds]

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
        notes=notes_of(looked_at, "tiles", "the image"),
        answered=answered(found.units),
    )


def answered(units: pd.DataFrame) -> Answered | None:
    """PSNR over the tiles that were answered, mean over a patient's, then over patients; None where all were."""
    missing = int(units["unanswered"].sum())
    if not missing:
        return None
    alone = units[~units["unanswered"]].groupby("patient")["psnr"].mean().mean()
    return Answered(len(units), missing, float(alone), "tiles")


def _given(fold: ScoredTiles) -> Iterator[CropArray]:
    """The images that were answered, a few at a time; one empty array where there is none."""
    rows = np.arange(len(fold.tile), dtype=np.int64)
    rows = rows if fold.unanswered is None else rows[~fold.unanswered]
    for start in range(0, max(len(rows), 1), AT_ONCE):
        yield fold.predicted(rows[start : start + AT_ONCE])


def _or_worst(read: Images, truth: Images, unanswered: NDArray[np.bool_]) -> Images:
    """A reader of answers that gives the worst image of every tile that was declared missing."""

    def images(rows: RowArray) -> CropArray:
        found, absent = read(rows), unanswered[rows]
        if absent.any():
            found[absent] = worst_images(truth(rows[absent]))
        return found

    return images


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


def _scored(question: Question, fold: Fold, path: Path, missing: frozenset[str]) -> ScoredTiles:
    store: IhcStore = question.cohort.store
    entry, marker = question.cohort.entry, question.board.part
    rows = store.rows_of(marker, fold.test)
    tiles = store.tiles(rows)
    unanswered = np.isin(tiles.name, sorted(missing)) if missing else None
    truth, predicted = store.reader("ihc", tiles), read_images(path, len(tiles))
    return ScoredTiles(
        name=fold.name,
        tile=tiles.name,
        patch=store.name_of[tiles.patch],
        patient=store.patient[tiles.patch],
        he=store.reader("he", tiles),
        truth=truth,
        predicted=predicted if unanswered is None else _or_worst(predicted, truth, unanswered),
        registered=store.aligned_reader(entry.aligned, tiles) if entry.aligned else None,
        reference=references(store, marker, rows),
        unanswered=unanswered,
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
