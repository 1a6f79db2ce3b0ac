"""Stage ``predict`` of a survival protocol: one model, every fold of every cohort.

The folder holds ``manifest.json`` and ``<cohort>/NNNN.parquet``, one a fold. Finished folds lie under ``runs/cache``,
keyed by everything they depend on, so a killed run goes on and a new cohort runs alone.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from baselines.registry import load_model_class
from protocols import load_survival_protocol
from protocols.contract import Card, HasWeights
from protocols.files import sha256_of, write_text_whole
from protocols.splitting import read_split
from protocols.survival.store import PatientStore
from suite.checked_survival import checked_survival
from suite.config import Config
from suite.places import PATIENTS, PREDICTIONS, SPLITS, UNFINISHED
from suite.progress import steps
from suite.stages.inputs import read_inputs, weight_parts
from suite.stages.predict import LIBRARIES, MANIFEST_FILE, fold_file, peak_memory_mib, write_timing
from suite.survival.answers import write_answer
from suite.survival.bags import Bags, encoder_is_served
from suite.survival.cohorts import cohort_config
from suite.survival.views import PatientViews
from suite.workers import in_parallel

WORTH_A_PROCESS = 30.0
"""Seconds left by the first fold's time, which is one of the largest cohort, from which processes with torch pay."""
SURVIVAL_LIBRARIES = (*LIBRARIES, "scikit-survival")


def run(config: Config, protocol_name: str, model_name: str) -> None:
    """Write ``runs/predictions/<protocol>/<model>``; a cohort that the model cannot use is recorded as skipped."""
    started = time.monotonic()
    protocol, inputs = load_survival_protocol(protocol_name), read_inputs(model_name)
    card = load_model_class(model_name, config.adapters, Path.cwd()).card
    settings = config.settings(*weight_parts(model_name, card))
    manifest: dict[str, Any] = {
        "protocol": protocol.name,
        "protocol_version": protocol.version,
        "model": model_name,
        "card": inputs["card"],
        "profile": settings.profile,
        "seed": settings.seed,
        "device": settings.device,
        "threads": settings.threads,
        "libraries": {name: metadata.version(name) for name in SURVIVAL_LIBRARIES},
        "cohorts": {},
    }
    tasks: list[FoldTask] = []
    for name in config.survival.cohorts:
        store = PatientStore(PATIENTS / name)
        split, record = read_split(SPLITS / protocol.name / name)
        entry: dict[str, Any] = {"cohort": store.hash, "split": record["hash"], "skipped": why_skipped(store, card)}
        entry["inputs"] = inputs_of_cohort(inputs, name)
        manifest["cohorts"][name] = entry
        if not entry["skipped"]:
            key = _digest({**manifest, "cohorts": None, **entry})[:16]
            folder = str(UNFINISHED / f"{protocol.name}-{name}-{model_name}-{key}")
            entry["folder"] = folder
            tasks += [
                FoldTask(config, protocol.name, model_name, name, number, folder) for number in range(len(split.folds))
            ]
    peak, n_patients, kept = 0, 0, 0
    # Large cohorts first, so that the last process to finish has little left.
    tasks.sort(key=lambda task: (-len(PatientStore(PATIENTS / task.cohort).patients), task.number))
    with steps(len(tasks), f"{protocol.name}: {model_name}, {len(tasks)} folds") as report:
        for done, (_, (memory, tested, made)) in enumerate(
            in_parallel(run_fold, tasks, config.workers, worth_seconds=WORTH_A_PROCESS)
        ):
            peak, n_patients, kept = max(peak, memory), n_patients + tested, kept + (not made)
            report(done + 1)
    finish(PREDICTIONS / protocol.name / model_name, manifest)
    if not kept:  # the time of a run that had only a part to do says nothing
        write_timing(protocol.name, model_name, settings, time.monotonic() - started, n_patients, peak)


def inputs_of_cohort(inputs: dict[str, Any], cohort: str) -> str:
    """Hash of what a model depends on besides the cohort: its sources, its weights and its bags there."""
    own = {name: value for name, value in inputs.items() if name != "bags"}
    return _digest({**own, "bags": inputs.get("bags", {}).get(cohort)})


def why_skipped(store: PatientStore, card: Card) -> str | None:
    """The reason a model cannot be asked about a cohort, or None."""
    if "oracle" in card.needs and not store.info.phantom:
        return "needs a known truth, and a real cohort has none"
    if "slides" in card.needs and not store.slides:
        return "needs slides, and the cohort has none"
    if "slides" in card.needs and card.encoder and not encoder_is_served(store, card.encoder):
        return f"some patients have neither a slide nor a bag of encoder {card.encoder}"
    if "genomic" in card.needs and not store.genomic_features:
        return "needs a genomic table, and the cohort has none"
    if "clinical" in card.needs and not store.clinical_features:
        return "needs clinical variables, and the cohort has none"
    return None


@dataclass(frozen=True)
class FoldTask:
    """One fold of one cohort: what a process is given."""

    config: Config
    protocol: str
    model: str
    cohort: str
    number: int
    folder: str


def run_fold(task: FoldTask) -> tuple[int, int, bool]:
    """Answer a fold that is not answered yet; returns the process's peak memory in MiB, the patients tested, and
    whether the answer was made now."""
    config, folder = task.config, Path(task.folder)
    split, _ = read_split(SPLITS / task.protocol / task.cohort)
    fold = split.folds[task.number]
    answer_file, weights_note = folder / fold_file(task.number), folder / _weights_file(task.number)
    if answer_file.exists() and weights_note.exists():
        return peak_memory_mib(), len(fold.test), False
    store, inputs = PatientStore(PATIENTS / task.cohort), read_inputs(task.model)
    model_class = load_model_class(task.model, config.adapters, Path.cwd())
    settings, entry = config.settings(*weight_parts(task.model, model_class.card)), cohort_config(config, task.cohort)
    encoder, bags, note = model_class.card.encoder, None, inputs["bags"].get(task.cohort)
    if encoder:
        bags = Bags(task.cohort, store, encoder, entry.root, Path(note["file"]) if note else None)
    views = PatientViews(store, settings, bags, entry.truth if "oracle" in model_class.card.needs else None)
    with threadpool_limits(settings.threads):
        model: Any = model_class()
        model.fit(views.training(fold.train))
        test = views.inputs(fold.test)
        answer = checked_survival(model.predict(test), len(test), task.model, f"{task.cohort} {fold.name}")
    write_answer(answer_file, test.patient, answer)
    records = [note["weights"]] if note else []
    records += [asdict(record) for record in (model.weights() if isinstance(model, HasWeights) else ())]
    write_text_whole(weights_note, json.dumps(records))
    return peak_memory_mib(), len(test), True


def finish(out: Path, manifest: dict[str, Any]) -> None:
    """Copy finished folds to their place, the manifest last: without it the folder is not a result."""
    shutil.rmtree(out, ignore_errors=True)
    for name, entry in manifest["cohorts"].items():
        if entry["skipped"]:
            entry |= {"weights": [], "folds": []}
            continue
        source = Path(entry.pop("folder"))
        (out / name).mkdir(parents=True)
        split, _ = read_split(SPLITS / manifest["protocol"] / name)
        entry["weights"] = json.loads((source / _weights_file(0)).read_text())
        entry["folds"] = []
        for number, fold in enumerate(split.folds):
            shutil.copyfile(source / fold_file(number), out / name / fold_file(number))
            digest = sha256_of(out / name / fold_file(number))
            entry["folds"].append({"name": fold.name, "file": fold_file(number), "sha256": digest})
    out.mkdir(parents=True, exist_ok=True)
    write_text_whole(out / MANIFEST_FILE, json.dumps(manifest, indent=1, sort_keys=True) + "\n")


def _weights_file(number: int) -> str:
    return f"weights-{number:04d}.json"


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
