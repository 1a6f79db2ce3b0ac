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
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

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
    views = ViewMaker(
        store,
        settings,
        cohort_crops(store, config.cohort.root),
        Path(inputs["embedding"]["file"]) if inputs["embedding"] else None,
        config.cohort.truth if "oracle" in model_class.card.needs else None,
    )
    weights = [asdict(record) for record in embedding_weights(inputs)]
    numbers = {fold.name: number for number, fold in enumerate(split.folds)}
    with steps(len(split.folds), f"{protocol_name}: {model_name}, {len(split.folds)} folds") as report:
        done = 0
        for folds in split.groups().values():
            parts = {fold.name: unfinished / fold_file(numbers[fold.name]) for fold in folds}
            if all(part.exists() for part in parts.values()) and (unfinished / "weights.json").exists():
                done += len(folds)
                report(done)
                continue
            model = model_class()
            if isinstance(model, Pretrains):
                rows = pretraining_rows(folds)
                model.pretrain(views.training(rows, sorted(store.measured_genes(rows))))
            for fold in folds:
                predicted = predict_fold(model, model_name, views, fold)
                write_fold(parts[fold.name], store, fold.test, fold.genes, predicted)
                done += 1
                report(done)
            if isinstance(model, HasWeights):
                weights = [asdict(record) for record in model.weights()]
            write_text_whole(unfinished / "weights.json", json.dumps(weights))
    weights = json.loads((unfinished / "weights.json").read_text())
    manifest |= {
        "skipped": None,
        "weights": weights,
        "folds": [
            {"name": fold.name, "file": fold_file(number), "sha256": sha256_of(unfinished / fold_file(number))}
            for number, fold in enumerate(split.folds)
        ],
    }
    finish(out, manifest, unfinished)
    write_timing(protocol_name, model_name, settings, time.monotonic() - started, sum(len(f.test) for f in split.folds))


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


def write_timing(protocol: str, model: str, settings: Settings, seconds: float, n_units: int) -> None:
    """Time and memory beside the result, not in it: they differ between two equal runs."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)
    timing: dict[str, Any] = {
        "seconds": round(seconds, 2),
        "peak_memory_mib": round(peak),
        "device": settings.device,
        "cells_per_second": round(n_units / seconds, 1),
    }
    if settings.device.startswith("cuda"):
        import torch

        timing["peak_gpu_memory_mib"] = round(torch.cuda.max_memory_allocated() / 2**20)
        timing["device_name"] = torch.cuda.get_device_name()
    write_text_whole(TIMINGS / protocol / f"{model}.json", json.dumps(timing, sort_keys=True) + "\n")
