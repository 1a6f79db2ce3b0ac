"""Stage ``predict`` of the protocols of bulk expression: one model, fitted once a fold, asked for both.

The folder ``runs/predictions/bulk/<model>`` holds ``manifest.json``; ``tcga_expression/<cohort>/NNNN.parquet`` (slides
of a fold's test patients; ``-untrained``: the twin's answer); ``tcga_expression/<external cohort>/0000.parquet`` (mean
of the five models); ``gbm_spatial/<section>.parquet`` (tiles; mean of the five). Finished folds lie under
``runs/cache``, keyed by everything they depend on, so a killed run goes on and a new cohort runs alone.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from baselines.registry import load_model_class
from protocols import load_bulk_protocol
from protocols.bulk.splitting import BulkFold, read_bulk_split
from protocols.bulk.store import BulkStore
from protocols.bulk_contract import PretrainsOnNormal
from protocols.contract import Card, FloatArray
from protocols.files import sha256_of, write_text_whole
from protocols.spatial.store import SectionsStore
from suite.bulk.answers import load_array, write_slides, write_tiles
from suite.bulk.cohorts import bulk_config
from suite.bulk.features import SECTIONS_NAME, slides_are_served
from suite.bulk.fold import (
    TRAINED,
    UNTRAINED,
    VALIDATION,
    BulkFoldTask,
    answer_file,
    done_file,
    pretrain,
    run_bulk_fold,
    section_genes,
)
from suite.config import Config
from suite.places import BULK, PREDICTIONS, SECTIONS, SPLITS, UNFINISHED
from suite.progress import steps
from suite.stages.inputs import read_inputs, weight_parts
from suite.stages.predict import LIBRARIES, MANIFEST_FILE, write_timing
from suite.workers import in_parallel

WORTH_A_PROCESS = 14.0
"""Seconds left by the first fold's time, the largest cohort's, from which processes with torch pay."""


def predictions_of(model: str) -> Path:
    return PREDICTIONS / "bulk" / model


def run(config: Config, model_name: str) -> None:
    """Write ``runs/predictions/bulk/<model>``; a cohort that the model cannot use is recorded as skipped."""
    started, inputs = time.monotonic(), read_inputs(model_name)
    model_class = load_model_class(model_name, config.adapters, Path.cwd())
    settings = config.settings(*weight_parts(model_name, model_class.card))
    manifest: dict[str, Any] = {
        "protocols": {name: load_bulk_protocol(name).version for name in config.bulk.protocols},
        "model": model_name,
        "card": inputs["card"],
        "profile": settings.profile,
        "seed": settings.seed,
        "device": settings.device,
        "threads": settings.threads,
        "libraries": {name: metadata.version(name) for name in LIBRARIES},
        "cohorts": {},
    }
    entries, tasks = manifest["cohorts"], []
    for name in config.bulk.discovery:
        entries[name] = _entry(config, name, inputs, model_class.card)
    asked = [name for name, entry in entries.items() if not entry["skipped"]]
    file = None
    if asked and issubclass(model_class, PretrainsOnNormal):
        key = _digest({**manifest, "cohorts": None, "inputs": _inputs_of(config, inputs, [config.bulk.normal])})
        file = UNFINISHED / f"bulk-pretraining-{model_name}-{key[:16]}.npz"
        with steps(1, f"{model_name}: pre-training on normal tissue") as report:
            pretrain(config, model_name, file)
            report(1)
    for name in asked:
        key = _digest({**manifest, "cohorts": None, **entries[name]})[:16]
        entries[name]["folder"] = str(UNFINISHED / f"bulk-{name}-{model_name}-{key}")
        tasks += [
            BulkFoldTask(config, model_name, name, number, entries[name]["folder"], str(file) if file else None)
            for number in range(load_bulk_protocol("tcga_expression").folds)
        ]
    tasks.sort(key=lambda task: (-len(BulkStore(BULK / task.cohort).slides), task.number))
    peak, n_slides, kept = 0, 0, 0
    with steps(len(tasks), f"bulk expression: {model_name}, {len(tasks)} folds") as report:
        for done, (_, (memory, tested, made)) in enumerate(
            in_parallel(run_bulk_fold, tasks, config.workers, worth_seconds=WORTH_A_PROCESS)
        ):
            peak, n_slides, kept = max(peak, memory), n_slides + tested, kept + (not made)
            report(done + 1)
    finish(predictions_of(model_name), manifest)
    if not kept:  # the time of a run that had only a part to do says nothing
        for protocol in config.bulk.protocols:
            write_timing(protocol, model_name, settings, time.monotonic() - started, n_slides, peak)


def why_skipped(config: Config, name: str, card: Card) -> str | None:
    """The reason a model cannot be asked about a cohort, or None."""
    if "oracle" in card.needs and bulk_config(config, name).truth is None:
        return "needs a known truth, and a real cohort has none"
    if "normal" in card.needs and config.bulk.normal is None:
        return "pre-trains on normal tissue, and bulk.cohorts has none"
    asked = [name, *config.bulk.external_of(name), *([config.bulk.normal] if "normal" in card.needs else [])]
    for other in asked if card.encoder else ():
        if not slides_are_served(BulkStore(BULK / str(other)).slides, str(card.encoder)):
            return f"some slides of {other} are precomputed features of another encoder than {card.encoder}"
    return None


def _entry(config: Config, name: str, inputs: dict[str, Any], card: Card) -> dict[str, Any]:
    """Everything that a cohort's answers depend on, but for what the whole manifest says."""
    _, record = read_bulk_split(SPLITS / "tcga_expression" / name)
    asked = [name, *config.bulk.external_of(name), *([config.bulk.normal] if "normal" in card.needs else [])]
    entry: dict[str, Any] = {
        "cohort": BulkStore(BULK / name).hash,
        "split": record["hash"],
        "external": {other: BulkStore(BULK / other).hash for other in config.bulk.external_of(name)},
        "sections": None,
        "skipped": why_skipped(config, name, card),
    }
    sections = config.bulk.sections
    if "gbm_spatial" in config.bulk.protocols and sections and sections.of == name:
        entry["sections"] = SectionsStore(SECTIONS).hash
        asked.append(SECTIONS_NAME)
    return entry | {"inputs": _inputs_of(config, inputs, asked)}


def _inputs_of(config: Config, inputs: dict[str, Any], cohorts: list[str | None]) -> str:
    """Hash of what a model depends on besides the cohorts: its sources, its weights and its features there."""
    own = {name: value for name, value in inputs.items() if name != "features"}
    features = {str(name): inputs["features"].get(name) for name in cohorts}
    return _digest({**own, "features": features, "places": config.bulk.super_tiles})


def finish(out: Path, manifest: dict[str, Any]) -> None:
    """Write the finished folds' answers to their place, the manifest last: without it the folder is not a result."""
    shutil.rmtree(out, ignore_errors=True)
    for name, entry in manifest["cohorts"].items():
        if entry["skipped"]:
            entry |= {"weights": [], "folds": [], "twin": False}
            continue
        folder = Path(entry.pop("folder"))
        note = json.loads(done_file(folder, 0).read_text())
        entry |= {"weights": note["weights"], "twin": note["twin"]}
        folds, _ = read_bulk_split(SPLITS / "tcga_expression" / name)
        store, states = BulkStore(BULK / name), [TRAINED, *([UNTRAINED] if note["twin"] else [])]
        entry["folds"] = _write_folds(out / "tcga_expression" / name, folder, store, folds, states)
        for other in entry["external"]:
            found = BulkStore(BULK / other)
            genes = tuple(gene for gene in store.genes if gene in set(found.genes))
            rows = np.arange(len(found.slides))
            for state in states:
                path = out / "tcga_expression" / other / slides_file(0, state)
                _write_rows(path, found, rows, genes, _mean(folder, len(folds), other, state))
        if entry["sections"]:
            _write_sections(out / "gbm_spatial", folder, store, len(folds))
    out.mkdir(parents=True, exist_ok=True)
    write_text_whole(out / MANIFEST_FILE, json.dumps(manifest, indent=1, sort_keys=True) + "\n")


def slides_file(number: int, state: str) -> str:
    return f"{number:04d}.parquet" if state == TRAINED else f"{number:04d}-{state}.parquet"


def _write_folds(
    out: Path, folder: Path, store: BulkStore, folds: list[BulkFold], states: list[str]
) -> list[dict[str, str]]:
    listed = []
    for number, fold in enumerate(folds):
        for state in states:
            values = load_array(answer_file(folder, number, "test", state))
            _write_rows(out / slides_file(number, state), store, store.slides_of(fold.test), store.genes, values)
        held = load_array(answer_file(folder, number, VALIDATION, TRAINED))
        _write_rows(out / slides_file(number, VALIDATION), store, store.slides_of(fold.validation), store.genes, held)
        file = slides_file(number, TRAINED)
        listed.append({"name": fold.name, "file": file, "sha256": sha256_of(out / file)})
    return listed


def _write_rows(path: Path, store: BulkStore, rows: Any, genes: tuple[str, ...], values: FloatArray) -> None:
    slide = np.array([store.slides[row].slide for row in rows])
    patient = np.array([store.slides[row].patient for row in rows])
    write_slides(path, slide, patient, genes, values)


def _mean(folder: Path, folds: int, of: str, state: str) -> FloatArray:
    """Mean of the fold models' answers, one fold in memory at a time."""
    total = sum(load_array(answer_file(folder, number, of, state)).astype(np.float64) for number in range(folds))
    return np.asarray(total / folds, dtype=np.float32)


def _write_sections(out: Path, folder: Path, store: BulkStore, folds: int) -> None:
    """Tiles that no window covers have no value and are left out."""
    sections = SectionsStore(SECTIONS)
    for number in range(len(sections.slides)):
        section = sections.section(number)
        values = _mean(folder, folds, f"{SECTIONS_NAME}-{number}", TRAINED)
        kept = np.isfinite(values).all(axis=1)
        table = pd.DataFrame(values[kept], columns=list(section_genes(store, section.genes)))
        write_tiles(out / f"{section.name}.parquet", {"row": section.row[kept], "column": section.column[kept]}, table)


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
