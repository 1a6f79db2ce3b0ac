"""Read: every cohort that the run touches, checked by its reader, into a sealed folder."""

from __future__ import annotations

import time
from pathlib import Path

from protocols.errors import UserError
from protocols.task import CohortRequest
from suite.engine import keys, store
from suite.engine.run import Run
from suite.engine.store import digest, forget_others, kept, made, placed
from suite.places import COHORTS, cohort_folder

KIND = "cohort"


def run_read(run: Run) -> None:
    """Write ``runs/cohorts/<task>/<name>`` of every cohort that a listed board touches, and of no other."""
    for request in run.cohorts:
        read_cohort(run, request)


def read_cohort(run: Run, request: CohortRequest) -> str:
    """Read one cohort, if its key is new, and put it in its place; returns its hash."""
    refuse_missing(request)
    key = keys.of_cohort(run, request)
    folder = kept("cohorts", request.task, request.name, key=digest(key))
    started = time.monotonic()

    def make(part: Path) -> None:
        run.task(request.task).read(request, part)

    if made(folder, KIND, {"sources": digest(key)}, make):
        print(f"{request.task}/{request.name}: read in {time.monotonic() - started:.1f} s", flush=True)
    forget_others(folder)
    return placed(folder, cohort_folder(request.task, request.name), KIND).hash


def remove_others(run: Run) -> None:
    """Cohorts of earlier run files, which a report must not mistake for this run's."""
    wanted = {cohort_folder(request.task, request.name) for request in run.cohorts}
    store.remove_others(COHORTS, "*/*", wanted)


def refuse_missing(request: CohortRequest) -> None:
    """A root that is not there is said in these words, whichever of its files would have been looked for first."""
    root = request.entry.root
    if not root.exists():
        raise UserError(
            "no such file or folder", where=root, expected=f"the files of cohort {request.name}",
            remedy=f"run `dvc pull`, or set cohorts.{request.task}.{request.name}.root",
        )  # fmt: skip
