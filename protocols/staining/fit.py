"""Fits one generator on one fold of one marker and keeps its images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from protocols.contract import Card, RowArray
from protocols.errors import UserError
from protocols.staining.answers import fold_file
from protocols.staining.store import IhcStore
from protocols.staining.tile_crops import embedding_reader
from protocols.staining.views import EmbeddingReader, PatchView, patch_view, training_view
from protocols.task import Fit, Fitted, Question

TILES_AT_ONCE = 16


def lacks(question: Question, card: Card) -> str:
    """The reason a model cannot be asked about a board, or an empty text."""
    if "oracle" in card.needs and question.cohort.entry.aligned is None:
        return "needs a registered truth, and a real cohort has none"
    if question.board.part not in question.cohort.store.markers:
        return f"the cohort has no patch of {question.board.part}"
    return ""


def jobs(question: Question) -> list[str]:
    """A fold is fitted by itself."""
    return [str(number) for number in range(len(question.split.folds))]


def fit(fit: Fit, job: str, folder: Path) -> Fitted:
    """Fit on a fold's training and stopping patches, draw its test tiles a few at a time."""
    question, number = fit.question, int(job)
    fold, store, marker = question.split.folds[number], question.cohort.store, question.board.part
    file = fit.features[question.cohort.name].embeddings[marker] if fit.card.encoder else None

    def embedded(rows: RowArray) -> EmbeddingReader | None:
        return embedding_reader(store, marker, file, rows) if file else None

    model: Any = fit.model_class()
    model.fit(
        training_view(
            store,
            marker,
            fold.train,
            fold.validation,
            fit.settings,
            workspace=fit.workspace,
            embedding_reader=embedded(np.union1d(fold.train, fold.validation)),
        )
    )
    test = _test(store, marker, fold.test, fit, embedded(fold.test))
    where = f"model {fit.card.name}, {question.board.name} fold {fold.name}"
    write_images(folder / fold_file(number), model, test, where)
    return Fitted.of(model, len(test))


def _test(store: IhcStore, marker: str, rows: RowArray, fit: Fit, embedded: EmbeddingReader | None) -> PatchView:
    oracle = fit.question.cohort.entry.aligned if "oracle" in fit.card.needs else None
    return patch_view(store, marker, rows, fit.settings, embedding_reader=embedded, oracle_root=oracle)


def write_images(path: Path, model: Any, test: PatchView, where: str) -> None:
    """Images a few at a time into one array; a malformed answer is the model's error."""
    shape = (len(test), test.pixels, test.pixels, 3)
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    for start in range(0, len(test), TILES_AT_ONCE):
        rows = np.arange(start, min(start + TILES_AT_ONCE, len(test)), dtype=np.int64)
        images = np.asarray(model.predict(test, rows))
        if images.shape != (len(rows), *shape[1:]) or images.dtype != np.uint8:
            raise UserError(
                f"predict returned {images.dtype} {images.shape}", where=where,
                expected=f"uint8 {(len(rows), *shape[1:])}", remedy="return one RGB image a row",
            )  # fmt: skip
        array[rows] = images
    array.flush()
