"""One fold of one cohort: a model is fitted once and asked for everything that any protocol wants of it.

A job's folder holds arrays by what was asked: ``test`` and ``validation`` slides of the fold, ``slides/<cohort>`` of
every external cohort and ``maps/<cohort>/<number>`` of every section; in each ``trained.npy``, and ``untrained.npy`` by
the twin of a model that has one. ``join`` makes the cell's tables of them: means over the fold models where another
cohort was asked about.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from protocols.bulk.answers import (
    TRAINED,
    UNTRAINED,
    VALIDATION,
    checked,
    load_array,
    save_array,
    section_genes,
    shared_genes,
    slides_file,
    write_slides,
    write_tiles,
)
from protocols.bulk.contract import AsksForWindows, HasUntrainedTwin, PretrainsOnNormal
from protocols.bulk.roles import named
from protocols.bulk.store import BulkStore
from protocols.bulk.super_tiles import TILES, serves
from protocols.bulk.view_makers import SlideViews, oracle_of_tiles, window_view
from protocols.bulk.views import SlideView
from protocols.contract import Card, FloatArray, RowArray
from protocols.images.tiling import read_tiles
from protocols.spatial.store import SectionsStore
from protocols.spatial.windows import MapOfWindows, WindowRule, Windows, lay_windows
from protocols.task import Fit, Fitted, Opened, Question, lacks_truth

WINDOWS_AT_ONCE = 256
ARRAYS_FILE, TWIN_FILE = "pretrained.npz", "twin.json"
TEST = "test"


def lacks(question: Question, card: Card) -> str:
    """The reason a model cannot be asked about a cohort, or an empty text."""
    truth = lacks_truth(card, question.cohort.entry.truth)
    if truth:
        return truth
    external, normal = named(question, "external"), named(question, "normal")
    for name in (*external, *named(question, "sections")) if "oracle" in card.needs else ():
        if question.companions[name].entry.truth is None:
            return f"needs a known truth, and {name} has none"
    if "normal" in card.needs and not normal:
        return "pre-trains on normal tissue, and cohorts.bulk has none"
    asked = [question.cohort.name, *external, *(normal if "normal" in card.needs else [])]
    for name in asked if card.encoder else ():
        if not serves(question.opened(name), str(card.encoder)):
            return f"some slides of {name} are precomputed features of another encoder than {card.encoder}"
    return ""


def jobs(question: Question) -> list[str]:
    """A fold is fitted by itself."""
    return [str(number) for number in range(len(question.split.folds))]


def pretrain(fit: Fit, opened: Opened, folder: Path) -> Fitted:
    """Pre-train on the normal tissue and keep the arrays; nothing is pickled."""
    model: Any = fit.model_class()
    arrays = model.pretrain(_views(fit, opened, truth=False).all_training())
    named_arrays: dict[str, Any] = {key: np.asarray(value, dtype=np.float32) for key, value in arrays.items()}
    with (folder / ARRAYS_FILE).open("wb") as file:
        np.savez(file, **named_arrays)
    return Fitted((), 0, Fitted.of(model, 0).schedule)


def fit(fit: Fit, job: str, folder: Path) -> Fitted:
    """Fit on a fold's training patients and ask for its test slides, other cohorts and sections."""
    question, number = fit.question, int(job)
    opened, fold = question.cohort, question.split.folds[number]
    store: BulkStore = opened.store
    model: Any = fit.model_class()
    if fit.pretrained and isinstance(model, PretrainsOnNormal):
        with np.load(fit.pretrained / ARRAYS_FILE, allow_pickle=False) as arrays:
            model.start_from({name: arrays[name] for name in arrays.files})
    views = _views(fit, opened)
    model.fit(views.training(fold))
    ask = _Asking(model, fit.card.name, f"{opened.name} fold {number}", folder)
    tested = store.slides_of(fold.test)
    ask.whole(TEST, views.inputs(tested, store.genes))
    held = views.inputs(store.slides_of(fold.validation), store.genes)
    ask.keep(VALIDATION, ask.one(TRAINED, held, VALIDATION))
    for name in named(question, "external"):
        other = question.companions[name]
        every = np.arange(len(other.store.slides), dtype=np.int64)
        ask.whole(_slides_of(name), _views(fit, other).inputs(every, shared_genes(store.genes, other.store.genes)))
    for name in named(question, "sections"):
        _ask_sections(ask, fit, question.companions[name])
    (folder / TWIN_FILE).write_text(json.dumps(ask.twin), encoding="utf-8")
    return Fitted.of(model, len(tested))


def join(question: Question, jobs: Mapping[str, Path], out: Path) -> None:
    """The cell's tables, of the finished folds' arrays."""
    store, folders = question.cohort.store, [jobs[str(number)] for number in range(len(jobs))]
    twin = json.loads((folders[0] / TWIN_FILE).read_text(encoding="utf-8"))
    states = [TRAINED, *([UNTRAINED] if twin else [])]
    for number, fold in enumerate(question.split.folds):
        for state in states:
            values = load_array(_array(folders[number], TEST, state))
            _write_rows(out / slides_file(number, state), store, store.slides_of(fold.test), store.genes, values)
        held = load_array(_array(folders[number], VALIDATION, TRAINED))
        _write_rows(out / slides_file(number, VALIDATION), store, store.slides_of(fold.validation), store.genes, held)
    for name in named(question, "external"):
        other: BulkStore = question.companions[name].store
        genes, rows = shared_genes(store.genes, other.genes), np.arange(len(other.slides))
        for state in states:
            _write_rows(out / name / slides_file(0, state), other, rows, genes, _mean(folders, _slides_of(name), state))
    for name in named(question, "sections"):
        _write_sections(out / name, folders, name, store, question.companions[name].store)


def _array(folder: Path, of: str, state: str) -> Path:
    return folder / of / f"{state}.npy"


def _slides_of(cohort: str) -> str:
    return f"slides/{cohort}"


def _map_of(sections: str, number: int) -> str:
    return f"maps/{sections}/{number}"


def _views(fit: Fit, opened: Opened, *, truth: bool = True) -> SlideViews:
    features = fit.features.get(opened.name)
    known = opened.entry.truth if truth and "oracle" in fit.card.needs else None
    derived = features.derived if fit.card.encoder and features else None
    return SlideViews(opened.store, fit.settings, opened.settings.super_tiles, derived, known, fit.workspace)


class _Asking:
    """Asks a fitted model, and its untrained twin if it has one, and keeps the answers."""

    def __init__(self, model: Any, name: str, where: str, folder: Path) -> None:
        self._name, self._where, self._folder = name, where, folder
        self._states = {TRAINED: model.predict}
        if isinstance(model, HasUntrainedTwin):
            self._states[UNTRAINED] = model.predict_untrained
        self.twin = UNTRAINED in self._states
        self.window_rule: WindowRule = model.window_rule if isinstance(model, AsksForWindows) else "paper"

    def whole(self, of: str, view: SlideView) -> None:
        for state in self._states:
            save_array(_array(self._folder, of, state), self.one(state, view, of))

    def one(self, state: str, view: SlideView, of: str) -> FloatArray:
        where = f"{self._where}, {of}, {state}"
        return checked(self._states[state](view), (len(view), len(view.genes)), self._name, where)

    def keep(self, of: str, values: FloatArray) -> None:
        save_array(_array(self._folder, of, TRAINED), values)


def _ask_sections(ask: _Asking, fit: Fit, opened: Opened) -> None:
    """A map of every section: windows are answered a batch at a time and averaged onto tiles."""
    sections: SectionsStore = opened.store
    cohort, tiles = fit.question.cohort.store.genes, read_tiles(opened.folder)
    features = fit.features.get(opened.name)
    file = features.embeddings.get(TILES) if fit.card.encoder and features else None
    array = np.load(file, mmap_mode="r", allow_pickle=False) if file else None
    truth = opened.entry.truth if "oracle" in fit.card.needs else None
    for number in range(len(sections.slides)):
        section = sections.section(number)
        genes = section_genes(cohort, section.genes)
        found = None if array is None else np.array(array[tiles.rows_of(number)], dtype=np.float32)
        best = None
        if truth:
            best = oracle_of_tiles(truth, section.name, section.row, section.column, sections.tile_um, genes)
        windows = lay_windows(section.row, section.column, sections.window, sections.stride, rule=ask.window_rule)

        def view(
            rows: RowArray,
            laid: Windows = windows,
            tile_features: Any = found,
            of: Any = section,
            best: Any = best,
            genes: tuple[str, ...] = genes,
        ) -> SlideView:
            return window_view(laid, rows, tile_features, fit.settings, genes, of.name, of.patient, best)

        made = MapOfWindows(windows, len(genes))
        for start in range(0, len(windows), WINDOWS_AT_ONCE):
            rows = np.arange(start, min(start + WINDOWS_AT_ONCE, len(windows)))
            made.add(rows, ask.one(TRAINED, view(rows), f"section {section.name}"))
        ask.keep(_map_of(opened.name, number), made.values().astype(np.float32))


def _write_rows(path: Path, store: BulkStore, rows: Any, genes: tuple[str, ...], values: FloatArray) -> None:
    slide = np.array([store.slides[row].slide for row in rows])
    patient = np.array([store.slides[row].patient for row in rows])
    write_slides(path, slide, patient, genes, values)


def _mean(folders: list[Path], of: str, state: str) -> FloatArray:
    """Mean of the fold models' answers, one fold in memory at a time."""
    total = sum(load_array(_array(folder, of, state)).astype(np.float64) for folder in folders)
    return np.asarray(total / len(folders), dtype=np.float32)


def _write_sections(out: Path, folders: list[Path], name: str, store: BulkStore, sections: SectionsStore) -> None:
    """Tiles that no window covers have no value and are left out."""
    for number in range(len(sections.slides)):
        section = sections.section(number)
        values = _mean(folders, _map_of(name, number), TRAINED)
        kept = np.isfinite(values).all(axis=1)
        table = pd.DataFrame(values[kept], columns=list(section_genes(store.genes, section.genes)))
        write_tiles(out / f"{section.name}.parquet", {"row": section.row[kept], "column": section.column[kept]}, table)
