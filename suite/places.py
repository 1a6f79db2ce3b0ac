"""Where a run's files lie. Everything names folders through here alone; a name from outside was checked before."""

from __future__ import annotations

from pathlib import Path

from protocols.sealed import stands

RUNS = Path("runs")
PLAN = RUNS / "plan"
COHORTS = RUNS / "cohorts"
SPLITS = RUNS / "splits"
AUDITS = RUNS / "audits"
CHECKS = RUNS / "checks"
PREDICTIONS = RUNS / "predictions"
SCORES = RUNS / "scores"
METRICS = RUNS / "metrics"
REPORTS = RUNS / "reports"
SUBMISSIONS = RUNS / "submissions"
TIMINGS = RUNS / "timings"
CACHE = RUNS / "cache"
HASHES = CACHE / "hashes.json"
IMPORTS = CACHE / "imports.json"


def found(root: Path, pattern: str) -> list[Path]:
    """What lies below a folder of results, in order; less what is being built there under a hidden name."""
    return sorted(path for path in root.glob(pattern) if stands(path, root))


def cohort_folder(task: str, name: str) -> Path:
    return COHORTS / task / name


def split_folder(protocol: str, cohort: str) -> Path:
    return SPLITS / protocol / cohort


def audit_folder(protocol: str, cohort: str) -> Path:
    return AUDITS / protocol / cohort


def check_folder(model: str) -> Path:
    return CHECKS / model


def answers_folder(protocol: str, board: str, model: str, seed: int) -> Path:
    return PREDICTIONS / protocol / board / model / f"seed{seed}"


def score_folder(protocol: str, board: str, model: str, seed: int) -> Path:
    return SCORES / protocol / board / model / f"seed{seed}"


def submission_folder(protocol: str, board: str, model: str) -> Path:
    return SUBMISSIONS / protocol / board / model


def timing_file(protocol: str, board: str, model: str) -> Path:
    return TIMINGS / protocol / board / f"{model}.json"


def embedding_timing_file(task: str, cohort: str, name: str) -> Path:
    """``name``: the encoder and the set of crops."""
    return TIMINGS / "embeddings" / task / cohort / f"{name}.json"
