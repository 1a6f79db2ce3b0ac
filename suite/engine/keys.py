"""The key of everything that is made: settings, data and the closure of what the making process can import.

Each function returns what its result depends on as plain values, less the hashes of earlier results, which the caller
adds. Nothing is listed by hand: sources come from :mod:`suite.engine.closure`, data from the cohort's manifest.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from protocols.contract import Settings
from protocols.protocol import Protocol
from protocols.registry import load_reader, load_task, module_of, reader_modules, task_modules
from protocols.task import CohortRequest, Part, Task
from suite.engine.closure import Closure, closure_of, folder_of
from suite.engine.data_hash import data_hash
from suite.engine.run import ModelEntry, Run

Key = dict[str, Any]


@cache
def closure(*starts: str | Path) -> Closure:
    return closure_of(*starts)


def code(*starts: str | Path) -> str:
    return closure(*starts).digest


def of_cohort(run: Run, request: CohortRequest) -> Key:
    """A stored cohort: its entry and settings, its reader's sources, and every byte that its manifest names."""
    task = run.task(request.task)
    return {
        "cohort": request.name,
        "entry": _entry(request),
        "settings": request.settings.model_dump(mode="json"),
        "seed": request.seed,
        "data": data_hash(task.data_files(request), request.entry.root),
        "code": code("suite.engine.read", *_modules(task, "read", "open_store", "data_files"), *_reader(request)),
    }


def of_truth(request: CohortRequest) -> str:
    """Hash of a phantom's truth; empty for a real cohort."""
    truth = request.entry.truth
    return "" if truth is None else data_hash([truth], truth.parent)


def of_split(run: Run, protocol: Protocol) -> Key:
    task = run.tasks[protocol.task]
    parts = _modules(task, "open_store", "boards", "companions")
    split = [protocol.split.module] if isinstance(protocol.split, Part) else []
    return {
        "protocol": protocol.name,
        "version": protocol.version,
        "seed": run.config.seed,
        "code": code("suite.engine.ask", run.starts[protocol.name], *parts, *split),
    }


def of_audit(run: Run, protocol: Protocol) -> Key:
    task = run.tasks[protocol.task]
    parts = _modules(task, "open_store", "evidence", "apart", "audit", "excluded", "boards", "companions")
    return {"protocol": protocol.name, "code": code("suite.engine.ask", *_starts_of(run, protocol), *parts)}


def of_evidence(task: Task) -> Key:
    """What a cohort is recognised by, less the cohort's hash."""
    return {"code": code("suite.engine.identity", *_modules(task, "open_store", "evidence"))}


def of_embedding(run: Run, task: Task, encoder: str, crop_set: str, seed: int) -> Key:
    """An encoder's embedding of a crop set, less the cohort's hash."""
    settings = run.config.settings(encoder, seed=seed)
    return {
        "encoder": encoder,
        "set": crop_set,
        **settings_key(replace(settings, most_steps=0), run.root),  # nothing is trained
        "code": code("suite.engine.embedding", *_modules(task, "crops", "open_store"), *_built_by(settings, run.root)),
    }


def of_loading(settings: Settings, root: Path, *starts: str | Path) -> str:
    """The code that loads named weights into a network: the readers, whoever builds it, the model's own."""
    return code("baselines.encoders.weights", *_built_by(settings, root), *starts)


def of_derived(task: Task, request: CohortRequest) -> Key:
    return {
        "settings": request.settings.model_dump(mode="json"),
        "code": code("suite.engine.embedding", *_modules(task, "derive", "open_store")),
    }


def of_pretraining(run: Run, entry: ModelEntry, task: Task, seed: int) -> Key:
    settings = run.config.settings_of(entry.card, seed=seed)
    return {
        "model": entry.name,
        **settings_key(settings, run.root),
        "code": code("suite.engine.fitting", *_modules(task, "pretrain", "open_store"), entry.start),
        "files": declared(entry),
    }


def of_fit(run: Run, protocol: Protocol, entry: ModelEntry, request: CohortRequest, seed: int) -> Key:
    """A cell's answers, less the hashes of its data."""
    task = run.tasks[protocol.task]
    settings = run.config.settings_of(entry.card, seed=seed)
    parts = _modules(task, "open_store", "fit", "join", "jobs", "companions", "boards", "lacks")
    found = closure("suite.engine.predict", start_of(run, protocol), *parts, entry.start)
    return {
        "model": entry.name,
        "protocol": protocol.name,
        "version": protocol.version,
        **settings_key(settings, run.root),
        "settings": request.settings.model_dump(mode="json"),
        "split seed": run.config.seed,
        "code": found.digest,
        "files": declared(entry),
        "adapter": run.config.adapters.get(entry.name, ""),
    }


CHECKED_STEPS = 12
"""Updates of a training in the stage of contract tests."""


def contract_settings(run: Run, entry: ModelEntry) -> Settings:
    """What a model is handed in its contract tests: the smallest sizes, one thread, and if it is somebody's own the
    weights of the run's file (those of a built-in do not fit its smallest sizes)."""
    given = run.config.settings_of(entry.card)
    return Settings(
        threads=1,
        most_steps=CHECKED_STEPS,
        weights=dict(given.weights) if entry.outside else {},
        encoders=given.encoders,
        parts=given.parts,
    )


def of_check(run: Run, entry: ModelEntry) -> Key:
    """The results of a model's contract tests."""
    task = run.tasks[entry.card.task]
    return {
        "model": entry.name,
        **settings_key(contract_settings(run, entry), run.root),
        "code": code("suite.engine.checking", *_modules(task, "checks"), entry.start),
        "files": declared(entry),
        "adapter": run.config.adapters.get(entry.name, ""),
    }


def of_score(run: Run, protocol: Protocol, request: CohortRequest) -> Key:
    """A cell's scores, less the hashes of its answers and data."""
    task = run.tasks[protocol.task]
    parts = _modules(task, "open_store", "score", "score_control", "describe", "excluded", "companions", "boards")
    whole = run.requests(protocol.task, scoring=True)[request.name]
    return {
        "protocol": protocol.name,
        "version": protocol.version,
        "settings": whole.settings.model_dump(mode="json"),
        "entry": _entry(whole),
        "seed": run.config.seed,
        "truth": of_truth(whole),
        "code": code("suite.engine.score", *_starts_of(run, protocol), *parts),
    }


def of_average(run: Run, protocol: Protocol) -> Key:
    parts = _modules(run.tasks[protocol.task], "average")
    return {"protocol": protocol.name, "code": code("suite.engine.score", *_starts_of(run, protocol), *parts)}


def of_report(run: Run) -> Key:
    """What the pages are made with: every task's notices, whatever is listed, since they are told of any record."""
    notices = [part.module for name in task_modules() if (part := load_task(name).notices) is not None]
    starts = dict.fromkeys(run.starts.values())
    return {"code": code("suite.engine.report", *map(module_of, task_modules().values()), *notices, *starts)}


def start_of(run: Run, protocol: Protocol) -> str | Path:
    return run.starts[protocol.name]


def _starts_of(run: Run, protocol: Protocol) -> list[str | Path]:
    """Where a protocol is declared, and the one whose fits answer it."""
    return [run.starts[name] for name in dict.fromkeys((protocol.name, protocol.answered_by or protocol.name))]


def libraries(*starts: str | Path) -> dict[str, str]:
    """Names and versions of the libraries that a closure imports."""
    return closure(*starts).versions()


def settings_key(settings: Settings, root: Path) -> Key:
    """What models are handed, less the place of a weights file: its bytes count."""
    weights = {part: _weights_key(given, root) for part, given in settings.weights.items()}
    promise = {"deterministic": settings.deterministic} if settings.device == "cuda" else {}
    return {
        **promise,
        "profile": settings.profile,
        "seed": settings.seed,
        "device": settings.device,
        "threads": settings.threads,
        "most steps": settings.most_steps,
        "weights": weights,
        "encoders": {name: _encoder_key(dict(entry), root) for name, entry in settings.encoders.items()},
    }


def declared(entry: ModelEntry) -> str:
    """Hash of the data files that a card declares; they lie beside the model's own file."""
    if not entry.card.files:
        return ""
    folder = folder_of(entry.start)
    return data_hash([folder / name for name in entry.card.files], folder)


def _weights_key(given: Any, root: Path) -> Any:
    path = given.get("path") if hasattr(given, "get") else None
    if not path:
        return dict(given)
    file = root / path
    # One that is missing is refused by whoever loads it, with its own words.
    return {
        **{k: v for k, v in given.items() if k != "path"},
        "bytes": data_hash([file], file.parent) if file.exists() else path,
    }


def _encoder_key(entry: dict[str, Any], root: Path) -> Any:
    weights = entry.get("weights")
    return entry | ({"weights": _weights_key(weights, root)} if weights else {})


def _built_by(settings: Settings, root: Path) -> list[str | Path]:
    files = [str(entry.get("build", "")).partition(":")[0] for entry in settings.encoders.values()]
    return [root / file if file.endswith(".py") else file for file in files if file]


def _entry(request: CohortRequest) -> Key:
    """A cohort's entry less its places (where files lie says nothing of what they hold) and what audits alone read."""
    told: Key = request.entry.model_dump(mode="json", exclude=_audit_only(request))
    return {**told, "root": "", "settings": "", "truth": told.get("truth") is not None}


def audited_alone(request: CohortRequest) -> Key:
    """What a cohort's entry says to audits alone; ``average`` of its settings, whose cohorts are held apart."""
    told: Key = request.entry.model_dump(mode="json", include=_audit_only(request))
    return {**told, "average": getattr(request.settings, "average", None)}


def _audit_only(request: CohortRequest) -> set[str]:
    fields = type(request.entry).model_fields.items()
    return {
        name
        for name, one in fields
        if isinstance(one.json_schema_extra, dict) and "audit_only" in one.json_schema_extra
    }


def _modules(task: Task, *names: str) -> list[str]:
    parts = [getattr(task, name) for name in names]
    return [*_declarations(task.name), *(part.module for part in parts if part is not None)]


def _reader(request: CohortRequest) -> list[str]:
    """Where a cohort's reader reads and where it says what: both are imported by name."""
    reader = load_reader(request.task, request.entry.reader)
    return [part.module for part in (reader.read, reader.data_files) if part is not None]


@cache
def _declarations(name: str) -> tuple[str, ...]:
    """Where a task and its readers are declared: whoever resolves the run's file imports them, to know its keys."""
    return tuple(map(module_of, (task_modules()[name], *reader_modules(name).values())))
