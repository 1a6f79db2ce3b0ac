"""One fold of one cohort: a model is fitted once and asked for everything that both protocols want of it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from baselines.registry import load_model_class
from protocols.bulk.splitting import read_bulk_split
from protocols.bulk.store import BulkStore
from protocols.bulk.views import SlideView
from protocols.bulk_contract import HasUntrainedTwin, PretrainsOnNormal
from protocols.contract import FloatArray, HasWeights, Settings
from protocols.files import write_text_whole, written_whole
from protocols.spatial.store import SectionsStore
from protocols.spatial.windows import MapOfWindows, Windows, lay_windows
from suite.bulk.answers import checked_bulk, save_array
from suite.bulk.cohorts import bulk_config
from suite.bulk.features import SECTIONS_NAME
from suite.bulk.views import SlideViews, oracle_of_tiles, window_view
from suite.config import Config
from suite.places import BULK, SECTIONS, SPLITS
from suite.stages.inputs import read_inputs, weight_parts
from suite.stages.predict import peak_memory_mib
from suite.tiling import read_tiles

WINDOWS_AT_ONCE = 256
TRAINED, UNTRAINED, VALIDATION = "trained", "untrained", "validation"


@dataclass(frozen=True)
class BulkFoldTask:
    """What a process is given. ``pretrained``: the file of arrays to start from, if the model pre-trains."""

    config: Config
    model: str
    cohort: str
    number: int
    folder: str
    pretrained: str | None


def answer_file(folder: Path, number: int, of: str, state: str) -> Path:
    """Where a fold's answer lies: ``of`` is ``test``, an external cohort, or ``sections-<number>``."""
    return folder / f"{number:04d}-{of}-{state}.npy"


def done_file(folder: Path, number: int) -> Path:
    """Written last: the fold's weights, and whether there is an untrained twin."""
    return folder / f"{number:04d}.json"


def run_bulk_fold(task: BulkFoldTask) -> tuple[int, int, bool]:
    """Answer a fold that is not answered yet; returns peak memory in MiB, slides tested, whether it was made now."""
    folder = Path(task.folder)
    store = BulkStore(BULK / task.cohort)
    folds, _ = read_bulk_split(SPLITS / "tcga_expression" / task.cohort)
    fold = folds[task.number]
    tested = store.slides_of(fold.test)
    if done_file(folder, task.number).exists():
        return peak_memory_mib(), len(tested), False
    config, inputs = task.config, read_inputs(task.model)
    model_class = load_model_class(task.model, config.adapters, Path.cwd())
    settings = config.settings(*weight_parts(task.model, model_class.card))
    with threadpool_limits(settings.threads):
        model: Any = model_class()
        if task.pretrained and isinstance(model, PretrainsOnNormal):
            with np.load(task.pretrained, allow_pickle=False) as arrays:
                model.start_from({name: arrays[name] for name in arrays.files})
        views = _views(config, inputs, task.cohort, store, settings, model_class.card.needs)
        model.fit(views.training(fold))
        ask = _Asking(model, task, folder)
        ask.whole("test", views.inputs(tested, store.genes))
        held = views.inputs(store.slides_of(fold.validation), store.genes)
        ask.keep(VALIDATION, ask.one(TRAINED, held, VALIDATION))
        for other in config.bulk.external_of(task.cohort):
            found = BulkStore(BULK / other)
            shared = tuple(gene for gene in store.genes if gene in set(found.genes))
            every = np.arange(len(found.slides), dtype=np.int64)
            of_other = _views(config, inputs, other, found, settings, model_class.card.needs)
            ask.whole(other, of_other.inputs(every, shared))
        if "gbm_spatial" in config.bulk.protocols and config.bulk.sections and config.bulk.sections.of == task.cohort:
            _ask_sections(ask, config, inputs, store, settings, model_class.card.needs)
    note = inputs["features"].get(task.cohort)
    records = [note["embedding"]["weights"]] if note and note["embedding"] else []
    records += [asdict(record) for record in (model.weights() if isinstance(model, HasWeights) else ())]
    write_text_whole(done_file(folder, task.number), json.dumps({"weights": records, "twin": ask.twin}))
    return peak_memory_mib(), len(tested), True


def pretrain(config: Config, name: str, file: Path) -> None:
    """Pre-train a model on the normal tissue once, and keep its arrays in ``file``."""
    normal = config.bulk.normal
    if normal is None or file.exists():
        return
    inputs, store = read_inputs(name), BulkStore(BULK / normal)
    model_class = load_model_class(name, config.adapters, Path.cwd())
    settings = config.settings(*weight_parts(name, model_class.card))
    with threadpool_limits(settings.threads):
        model: Any = model_class()
        arrays = model.pretrain(_views(config, inputs, normal, store, settings, ()).all_training())
    file.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(file) as part, part.open("wb") as opened:
        named: dict[str, Any] = {key: np.asarray(value, dtype=np.float32) for key, value in arrays.items()}
        np.savez(opened, **named)


def _views(
    config: Config, inputs: dict[str, Any], name: str, store: BulkStore, settings: Settings, needs: tuple[str, ...]
) -> SlideViews:
    truth = bulk_config(config, name).truth if "oracle" in needs else None
    return SlideViews(store, settings, config.bulk.super_tiles, inputs["features"].get(name), truth)


class _Asking:
    """Asks a fitted model, and its untrained twin if it has one, and keeps the answers."""

    def __init__(self, model: Any, task: BulkFoldTask, folder: Path) -> None:
        self._task, self._folder = task, folder
        self._states = {TRAINED: model.predict}
        if isinstance(model, HasUntrainedTwin):
            self._states[UNTRAINED] = model.predict_untrained
        self.twin = UNTRAINED in self._states

    def whole(self, of: str, view: SlideView) -> None:
        for state in self._states:
            save_array(answer_file(self._folder, self._task.number, of, state), self.one(state, view, of))

    def one(self, state: str, view: SlideView, of: str) -> FloatArray:
        where = f"{self._task.cohort} fold {self._task.number}, {of}, {state}"
        return checked_bulk(self._states[state](view), (len(view), len(view.genes)), self._task.model, where)

    def keep(self, of: str, values: FloatArray) -> None:
        save_array(answer_file(self._folder, self._task.number, of, TRAINED), values)


def _ask_sections(
    ask: _Asking, config: Config, inputs: dict[str, Any], store: BulkStore, settings: Settings, needs: tuple[str, ...]
) -> None:
    """A map of every section: windows are answered a batch at a time and averaged onto tiles."""
    sections, tiles = SectionsStore(SECTIONS), read_tiles(SECTIONS)
    note = inputs["features"].get(SECTIONS_NAME)
    array = np.load(note["embedding"]["file"], mmap_mode="r", allow_pickle=False) if note else None
    truth = config.bulk.sections.truth if config.bulk.sections and "oracle" in needs else None
    for number in range(len(sections.slides)):
        section = sections.section(number)
        genes = section_genes(store, section.genes)
        features = None if array is None else np.array(array[tiles.rows_of(number)], dtype=np.float32)
        best = None
        if truth:
            best = oracle_of_tiles(truth, section.name, section.row, section.column, sections.tile_um, genes)
        windows = lay_windows(section.row, section.column, sections.window, sections.stride)

        def view(rows: Any, laid: Windows = windows, tile_features: Any = features, of: Any = section, best: Any = best,
                 genes: tuple[str, ...] = genes) -> SlideView:  # fmt: skip
            return window_view(laid, rows, tile_features, settings, genes, of.name, of.patient, best)

        made = MapOfWindows(windows, len(genes))
        for start in range(0, len(windows), WINDOWS_AT_ONCE):
            rows = np.arange(start, min(start + WINDOWS_AT_ONCE, len(windows)))
            made.add(rows, ask.one(TRAINED, view(rows), f"section {section.name}"))
        ask.keep(f"{SECTIONS_NAME}-{number}", made.values().astype(np.float32))


def section_genes(store: BulkStore, measured: tuple[str, ...]) -> tuple[str, ...]:
    """Genes that the bulk cohort and the section both have, in the cohort's order."""
    there = set(measured)
    return tuple(gene for gene in store.genes if gene in there)
