"""Stage ``score``: every listed model of one protocol, whatever its task.

One stage a protocol and not one a cell: a process start and DVC's rewriting of dvc.lock would take longer than the
scoring. A scored cell is kept under ``runs/cache`` by a key of everything it depends on, so a new model or a changed
prediction scores its own cell and no other, a killed run goes on, and an edited metric scores all anew.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from protocols import task_of
from protocols.bulk.store import BulkStore
from protocols.errors import UserError
from protocols.files import sha256_of, sha256_of_files, write_text_whole
from protocols.spatial.store import SectionsStore
from suite.bulk.sections import sections_config
from suite.bulk.spatial_scoring import MAP_CONTROLS
from suite.config import Config
from suite.ihc.cohorts import aligned_hash
from suite.places import BULK, METRICS, PREDICTIONS, SCORED, SCORES, SECTIONS
from suite.progress import steps
from suite.stages.encoder_sources import repository
from suite.workers import in_parallel

SOURCES = (
    "protocols/metrics",
    "protocols/records.py",
    "protocols/scoring.py",
    "protocols/bulk/scoring.py",
    "protocols/ihc/scoring.py",
    "protocols/ihc/store.py",
    "protocols/ihc/tiles.py",
    "protocols/spatial/scoring.py",
    "protocols/survival/scoring.py",
    "suite/bulk/scoring.py",
    "suite/bulk/spatial_scoring.py",
    "suite/ihc/scoring.py",
    "suite/stages/bulk_score.py",
    "suite/stages/ihc_score.py",
    "suite/data.py",
    "suite/scoring.py",
    "suite/stages/score.py",
    "suite/stages/survival_score.py",
    "suite/survival/scoring.py",
)
LIBRARIES = ("numpy", "scipy", "pandas", "scikit-learn", "scikit-survival", "igraph", "pot")
METRICS_FILE = "metrics.json"


@dataclass(frozen=True)
class CellTask:
    """One cell of the matrix: what a process is given. ``kept`` is its folder in the cache."""

    config: Config
    protocol: str
    model: str
    kept: str


def run(config: Config, protocol: str) -> None:
    """Write ``runs/scores/<protocol>/<model>`` of every listed model, and ``runs/metrics/<protocol>.json``."""
    models = scored_models(config, protocol)
    tasks = [
        CellTask(config, protocol, model, str(SCORED / protocol / _name(config, protocol, model))) for model in models
    ]
    missing = [task for task in tasks if not (Path(task.kept) / METRICS_FILE).exists()]
    with steps(len(missing), f"{protocol}: scoring {len(missing)} of {len(tasks)} models") as report:
        for done, _ in enumerate(in_parallel(score_cell, missing, config.workers)):
            report(done + 1)
    out = SCORES / protocol
    shutil.rmtree(out, ignore_errors=True)
    metrics = {}
    for task in tasks:
        kept = Path(task.kept)
        shutil.copytree(kept, out / task.model, ignore=shutil.ignore_patterns(METRICS_FILE))
        metrics[task.model] = json.loads((kept / METRICS_FILE).read_text())
        for older in kept.parent.glob(f"{task.model}@*"):
            if older != kept:
                shutil.rmtree(older)
    write_text_whole(METRICS / f"{protocol}.json", json.dumps(metrics, indent=1, sort_keys=True) + "\n")


def scored_models(config: Config, protocol: str) -> list[str]:
    """The models that answer a protocol, and behind them the controls that only scoring can make."""
    task = task_of(protocol)
    if task == "survival":
        return config.survival.models
    if task == "expression":
        return config.models
    if task == "image":
        return config.ihc.models
    return [*config.bulk.models, *(MAP_CONTROLS if protocol == "gbm_spatial" else ())]


def score_cell(task: CellTask) -> None:
    """Score one cell into its folder of the cache; the metrics come last and make it count."""
    from suite.stages import bulk_score, ihc_score, score, survival_score

    kept = Path(task.kept)
    shutil.rmtree(kept, ignore_errors=True)
    cells = {
        "survival": survival_score.cell,
        "bulk": bulk_score.cell,
        "image": ihc_score.cell,
        "expression": score.cell,
    }
    metrics: dict[str, Any] = cells[task_of(task.protocol)](task.config, task.protocol, task.model, kept)
    write_text_whole(kept / METRICS_FILE, json.dumps(metrics, sort_keys=True))


def _name(config: Config, protocol: str, model: str) -> str:
    """``<model>@<key>``."""
    folder = PREDICTIONS / ("bulk" if task_of(protocol) == "bulk" else protocol) / model
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if not files and model not in MAP_CONTROLS:
        raise UserError(
            "no predictions", where=folder, expected=f"answers of {model}", remedy="run `dvc repro predict`"
        )
    key = {
        "predictions": sha256_of_files(files, folder),
        "sources": sha256_of_files(_sources(), repository()),
        "libraries": {name: metadata.version(name) for name in LIBRARIES},
        "seed": config.seed,
        "truth": str(config.cohort.truth),
        "survival": config.survival.model_dump(mode="json", include={"average", "cohorts"}),
        "bulk": config.bulk.model_dump(mode="json", exclude={"models"}),
        "ihc": config.ihc.model_dump(mode="json", exclude={"models"}),
        "aligned": [aligned_hash(config, name) for name in config.ihc.cohorts] if task_of(protocol) == "image" else [],
        "sections": _sections_key(config) if protocol == "gbm_spatial" else "",
    }
    return f"{model}@{hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]}"


def _sections_key(config: Config) -> list[str]:
    """The sections, the cohort that chooses the scored genes (controls have no manifest that names it), the modules."""
    entry = sections_config(config)
    modules = sha256_of(entry.modules) if entry.modules and entry.modules.exists() else ""
    return [SectionsStore(SECTIONS).hash, BulkStore(BULK / entry.of).hash, modules]


def _sources() -> list[Path]:
    paths = [repository() / name for name in SOURCES]
    return [file for path in paths for file in (sorted(path.rglob("*.py")) if path.is_dir() else [path])]
