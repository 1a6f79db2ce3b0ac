"""What commands that draw whole slides share: a cohort to fit on, a model that can be asked, a place to train."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from protocols.errors import UserError, look_up

if TYPE_CHECKING:
    from protocols.task import Opened
    from suite.config import Config
    from suite.engine.run import ModelEntry, Run


def run_of(config: Config, task: str, models: tuple[str, ...], only: str | None = None) -> Run:
    """The run of every protocol of a task, or of ``only`` one, with these models alone."""
    from protocols.registry import load_protocol, protocol_modules
    from suite.engine.run import Run

    listed = tuple(name for name in protocol_modules() if load_protocol(name).task == task)
    return Run(config.model_copy(update={"protocols": (only,) if only else listed, "models": models}))


def cohort_to_fit_on(config: Config, task: str, cohort: str, kind: str) -> Opened:
    """The cohort, read if it was not. ``kind``: what such a cohort is called where there is none of the name."""
    from suite.engine.questions import opened
    from suite.engine.read import read_cohort

    run = run_of(config, task, ())
    read_cohort(run, look_up(cohort, run.requests(task), kind=kind, where=f"cohorts.{task}"))
    return opened(run.tasks[task], run.requests(task, scoring=True)[cohort])


def model_for_slides(config: Config, task: str, name: str) -> ModelEntry:
    """A model of the task, if it can be asked about a slide of which nothing else is known."""
    entry = run_of(config, task, ()).model(name)
    if entry.card.task != task:
        raise UserError(
            f"{name} answers the task {entry.card.task!r}", where="--model", expected=f"a model of the task {task!r}",
            remedy="see `slide2omics list`",
        )  # fmt: skip
    if "oracle" in entry.card.needs:
        raise UserError(
            f"{name} knows the truth, and a slide has none", where="--model", expected="a model",
            remedy="choose no oracle",
        )  # fmt: skip
    return entry


def workspace_of(config: Config, kind: str, command: str, cohort: Opened, entry: ModelEntry, *names: str) -> Path:
    """A folder named by everything that the fitted model depends on, its own sources included.

    ``command`` is the module that fits it, ``kind`` what its results are called. What a training leaves there stays: a
    killed run goes on.
    """
    from suite.engine.keys import code, settings_key
    from suite.engine.store import digest, kept

    settings = settings_key(config.settings_of(entry.card), Path.cwd())
    key = {"cohort": cohort.hash, "settings": settings, "code": code(command, entry.start)}
    return kept(kind, cohort.name, *names, entry.name, key=digest(key))
