"""Stage ``predict``: fit one model on every fold's training rows and keep its answers for the test rows.

The folder holds ``manifest.json`` and one Parquet file a fold (slide, cell_id, one float32 column a gene).
Finished folds lie under ``runs/cache`` until the last one is done, so a killed run goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import json
import resource
import shutil
import sys
import time
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from threadpoolctl import threadpool_limits

from baselines.registry import load_model_class
from protocols.audit import pretraining_rows
from protocols.cohorts.store import CohortStore
from protocols.contract import FloatArray, HasWeights, Model, Pretrains, RowArray, Settings
from protocols.errors import UserError
from protocols.files import sha256_of, write_text_whole, written_whole
from protocols.protocol import Fold
from protocols.splitting import read_split
from suite.config import Config
from suite.data import ViewMaker, cohort_crops
from suite.places import COHORT, PREDICTIONS, SPLITS, TIMINGS, UNFINISHED
from suite.progress import steps
from suite.stages.inputs import embedding_weights, read_inputs, weight_parts
from suite.workers import in_parallel

MANIFEST_FILE = "manifest.json"
LIBRARIES = ("numpy", "scipy", "scikit-learn", "torch", "timm", "slide2omics")


def run(config: Config, protocol_name: str, model_name: str) -> None:
    """Write ``runs/predictions/<protocol>/<model>``; a model the cohort cannot serve is recorded as skipped."""
    started = time.monotonic()
    store = CohortStore(COHORT)
    split, split_record = read_split(SPLITS / protocol_name)
    inputs = read_inputs(model_name)
    model_class = load_model_class(model_name, config.adapters, Path.cwd())
    settings = config.settings(*weight_parts(model_name, model_class.card))
    manifest: dict[str, Any] = {
        "protocol": protocol_name,
        "protocol_version": split_record["version"],
        "model": model_name,
        "card": inputs["card"],
        "profile": settings.profile,
        "seed": settings.seed,
        "device": settings.device,
        "libraries": {name: metadata.version(name) for name in LIBRARIES},
        "cohort": store.hash,
        "split": split_record["hash"],
        "inputs": hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest(),
        "threads": settings.threads,
    }
    out = PREDICTIONS / protocol_name / model_name
    reason = why_skipped(model_class, config, len(split.folds))
    if reason:
        finish(out, {**manifest, "skipped": reason, "weights": [], "folds": []}, None)
        return
    key = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()[:16]
    unfinished = UNFINISHED / f"{protocol_name}-{model_name}-{key}"
    groups = [GroupTask(config, protocol_name, model_name, group, str(unfinished)) for group in split.groups()]
    # Large groups first, so that the last process to finish has little left.
    groups.sort(key=lambda task: -sum(len(fold.train) for fold in split.groups()[task.group]))
    heavy = issubclass(model_class, Pretrains) and len(groups) > 1
    peak = 0
    with steps(len(groups), f"{protocol_name}: {model_name}, {len(split.folds)} folds") as report:
        for done, (_, memory) in enumerate(in_parallel(run_group, groups, config.workers, at_once=heavy)):
            peak = max(peak, memory)
            report(done + 1)
    first_group = groups[0].group
    manifest |= {
        "skipped": None,
        "weights": json.loads((unfinished / weights_file(first_group)).read_text()),
        "folds": [
            {"name": fold.name, "file": fold_file(number), "sha256": sha256_of(unfinished / fold_file(number))}
            for number, fold in enumerate(split.folds)
        ],
    }
    finish(out, manifest, unfinished)
    n_units = sum(len(fold.test) for fold in split.folds)
    write_timing(protocol_name, model_name, settings, time.monotonic() - started, n_units, peak)


@dataclass(frozen=True)
class GroupTask:
    """One group of folds of one cell: what a process is given."""

    config: Config
    protocol: str
    model: str
    group: str
    unfinished: str


def run_group(task: GroupTask) -> int:
    """Answer every fold of a group that is not answered yet; returns the process's peak memory in MiB."""
    config, unfinished = task.config, Path(task.unfinished)
    split, _ = read_split(SPLITS / task.protocol)
    folds = split.groups()[task.group]
    numbers = {fold.name: number for number, fold in enumerate(split.folds)}
    parts = {fold.name: unfinished / fold_file(numbers[fold.name]) for fold in folds}
    weights_note = unfinished / weights_file(task.group)
    if weights_note.exists() and all(part.exists() for part in parts.values()):
        return peak_memory_mib()
    store, inputs = CohortStore(COHORT), read_inputs(task.model)
    model_class = load_model_class(task.model, config.adapters, Path.cwd())
    settings = config.settings(*weight_parts(task.model, model_class.card))
    views = ViewMaker(
        store,
        settings,
        cohort_crops(store, config.cohort.root),
        Path(inputs["embedding"]["file"]) if inputs["embedding"] else None,
        config.cohort.truth if "oracle" in model_class.card.needs else None,
    )
    with threadpool_limits(settings.threads):
        model = model_class()
        if isinstance(model, Pretrains):
            rows = pretraining_rows(folds)
            model.pretrain(views.training(rows, sorted(store.measured_genes(rows))))
        for fold in folds:
            write_fold(parts[fold.name], store, fold.test, fold.genes, predict_fold(model, task.model, views, fold))
    records = [*embedding_weights(inputs), *(model.weights() if isinstance(model, HasWeights) else ())]
    write_text_whole(weights_note, json.dumps([asdict(record) for record in records]))
    return peak_memory_mib()


def weights_file(group: str) -> str:
    return f"weights-{hashlib.sha256(group.encode()).hexdigest()[:12]}.json"


def peak_memory_mib() -> int:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2))


def why_skipped(model_class: type[Model], config: Config, n_folds: int) -> str | None:
    """The reason a model cannot answer this protocol on this cohort, or None."""
    if not n_folds:
        return "the cohort gives this protocol no fold (see what was left out)"
    if "oracle" in model_class.card.needs and config.cohort.truth is None:
        return "needs a known truth, and a real cohort has none"
    return None


def predict_fold(model: Model, name: str, views: ViewMaker, fold: Fold) -> FloatArray:
    """Fit on the fold's training rows and answer for its test rows; a malformed answer is the model's error."""
    model.fit(views.training(fold.train, fold.genes))
    return checked_answer(
        model.predict(views.inputs(fold.test, fold.genes)), (len(fold.test), len(fold.genes)), name, fold.name
    )


def checked_answer(answer: object, shape: tuple[int, int], model: str, fold: str) -> FloatArray:
    """A prediction as finite float32 of the right shape, or a :class:`UserError`."""
    predicted = np.asarray(answer)
    where, remedy = f"model {model}, fold {fold}", f"run `slide2omics check {model}`"
    if predicted.shape != shape:
        raise UserError(f"predict returned shape {predicted.shape}", where=where, expected=f"{shape}", remedy=remedy)
    if not np.issubdtype(predicted.dtype, np.number) or not np.isfinite(predicted).all():
        raise UserError("predict returned NaN or infinity", where=where, expected="finite numbers", remedy=remedy)
    return predicted.astype(np.float32)


def fold_file(number: int) -> str:
    return f"{number:04d}.parquet"


def write_fold(path: Path, store: CohortStore, rows: RowArray, genes: tuple[str, ...], predicted: FloatArray) -> None:
    """One fold's answers, whole or not at all."""
    slide = np.array([record.slide for record in store.slides])[store.slide_index[rows]]
    columns = {
        "slide": pa.array(slide).dictionary_encode(),
        "cell_id": pa.array(store.units["cell_id"].to_numpy()[rows]),
    }
    columns |= {gene: pa.array(predicted[:, position]) for position, gene in enumerate(genes)}
    with written_whole(path) as part:
        pq.write_table(pa.table(columns), part, compression="zstd", use_dictionary=["slide"])


def finish(out: Path, manifest: dict[str, Any], folds: Path | None) -> None:
    """Move finished folds to their place, the manifest last: without it the folder is not a result."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    for fold in manifest["folds"]:
        shutil.move(str((folds or out) / fold["file"]), out / fold["file"])
    write_text_whole(out / MANIFEST_FILE, json.dumps(manifest, indent=1, sort_keys=True) + "\n")
    if folds:
        shutil.rmtree(folds)


def write_timing(
    protocol: str, model: str, settings: Settings, seconds: float, n_units: int, peak_memory_mib: int
) -> None:
    """Time and memory beside the result, not in it: they differ between two equal runs."""
    timing: dict[str, Any] = {
        "seconds": round(seconds, 2),
        "peak_memory_mib": peak_memory_mib,
        "device": settings.device,
        "cells_per_second": round(n_units / seconds, 1),
    }
    if settings.device.startswith("cuda"):
        import torch

        timing["peak_gpu_memory_mib"] = round(torch.cuda.max_memory_allocated() / 2**20)
        timing["device_name"] = torch.cuda.get_device_name()
    write_text_whole(TIMINGS / protocol / f"{model}.json", json.dumps(timing, sort_keys=True) + "\n")
