"""The stages of the pipeline as commands: what dvc.yaml calls."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from suite.engine.run import Run

stage = typer.Typer(no_args_is_help=True, help="One stage of the pipeline, as dvc.yaml calls it.")


@stage.command("plan")
def stage_plan() -> None:
    """Resolve the run's file and write down what each stage depends on."""
    from suite.engine.plan import run_plan
    from suite.engine.store import sweep
    from suite.lock_guard import stand_by
    from suite.processes import dvc_above

    dvc = dvc_above()
    if dvc is not None:
        stand_by(dvc, Path(os.environ["DVC_ROOT"]))
    sweep()
    run_plan(_run())


@stage.command("read")
def stage_read() -> None:
    """Read and check every cohort that a listed protocol touches."""
    from suite.engine.read import remove_others, run_read

    run = _run()
    run_read(run)
    remove_others(run)


@stage.command("ask")
def stage_ask() -> None:
    """Write each protocol's folds and check them for leaks."""
    from suite.engine.ask import remove_others, run_ask

    run = _run()
    remove_others(run)
    run_ask(run)


@stage.command("check")
def stage_check() -> None:
    """Run the contract tests of every listed model."""
    from suite.engine.contract import run_check

    run_check(_run())


@stage.command("predict")
def stage_predict() -> None:
    """Embed what models read, fit every cell and keep its answers."""
    from suite.engine.predict import remove_others, run_predict

    run = _run()
    remove_others(run)
    run_predict(run)


@stage.command("score")
def stage_score() -> None:
    """Score every cell."""
    from suite.engine.score import run_score

    run_score(_run(), prune=True)


@stage.command("report")
def stage_report() -> None:
    """Write the leaderboards."""
    from suite.engine.report import run_report

    typer.echo(f"page: {run_report(_run()).html}")


def _run() -> Run:
    """The run; under DVC this process now ends with it, so that a killed `dvc repro` leaves nothing at work."""
    from suite.config import read_config
    from suite.engine.run import Run
    from suite.processes import dvc_above, end_with

    dvc = dvc_above()
    if dvc is not None:
        end_with(dvc)
    return Run(read_config())
