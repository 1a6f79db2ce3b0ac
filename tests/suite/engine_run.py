"""Runs the engine's stages in a working folder, as DVC does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from suite.config import read_config
from suite.engine.ask import run_ask
from suite.engine.predict import run_predict
from suite.engine.read import run_read
from suite.engine.run import Run
from suite.engine.score import run_score

ROOT = Path(__file__).resolve().parents[2]


def default_params() -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    return values


def params(**changes: Any) -> dict[str, Any]:
    """The default run's file with one worker and the given keys in place of its own."""
    return default_params() | {"workers": 1} | changes


def write_params(folder: Path, values: dict[str, Any]) -> None:
    (folder / "params.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")


def the_run() -> Run:
    """The run of the working folder."""
    return Run(read_config())


def run_all(run: Run | None = None) -> Run:
    run = run or the_run()
    run_read(run)
    run_ask(run)
    run_predict(run)
    run_score(run)
    return run


def drive() -> None:
    """The whole run of the working folder, as DVC's stages one after the other, in this process and its workers."""
    from suite.engine.contract import run_check
    from suite.engine.report import run_report
    from suite.engine.store import sweep

    sweep()
    run = run_all()
    run_check(run)
    run_report(run)
