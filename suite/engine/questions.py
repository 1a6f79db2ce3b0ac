"""Opens what a board needs: its cohorts and its split, each verified, the truth only for those who may see it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

from protocols.protocol import Board, Protocol
from protocols.sealed import read_seal
from protocols.settings import CohortEntry
from protocols.splits import Split, read_split
from protocols.task import CohortRequest, Opened, Question, Task
from suite.engine.run import Run
from suite.places import cohort_folder, split_folder

KIND = "cohort"


def opened(task: Task, request: CohortRequest) -> Opened:
    """A stored cohort, verified."""
    folder = cohort_folder(request.task, request.name)
    seal = read_seal(folder, KIND, remedy="run `dvc repro read`")
    return Opened(request, task.open_store(request, folder), seal.hash, folder)


def question_of(
    run: Run, protocol: Protocol, board: Board, *, scoring: bool = False, truth: bool = True, split: Split | None = None
) -> Question:
    """All that a board's fits or scores touch. ``truth`` False: every cohort's truth is left out of what is handed on.

    ``split``: one that is being proven and is not written yet.
    """
    task, requests = run.tasks[protocol.task], run.requests(protocol.task, scoring=scoring)
    fitter = run.fitting[protocol.answered_by or protocol.name]
    names = [name for name in run.companions(fitter, board.fitted_on) if name != board.fitted_on]
    if board.cohort not in (*names, board.fitted_on):
        names.append(board.cohort)
    cohort = opened(task, _shown(requests[board.fitted_on], truth))
    companions = {name: opened(task, _shown(requests[name], truth)) for name in names}
    if split is None:
        split, _ = _split(split_folder(fitter.name, board.fitted_on), cohort.hash)
    return Question(protocol, board, cohort, companions, split, run.config.seed)


def hashes_of(question: Question) -> dict[str, str]:
    """Hashes of every cohort that a question touches."""
    return {"cohort": question.cohort.hash} | {f"cohort {name}": one.hash for name, one in question.companions.items()}


def _split(folder: Path, cohort: str) -> tuple[Split, str]:
    split, seal = read_split(folder, of={"cohort": cohort})
    return split, seal.hash


def split_hash(fitter: Protocol, cohort: str) -> str:
    return read_seal(split_folder(fitter.name, cohort), "split").hash


def _shown(request: CohortRequest, truth: bool) -> CohortRequest:
    return request if truth else replace(request, entry=_hidden(request.entry))


def _hidden(entry: CohortEntry) -> CohortEntry:
    """The entry without what only a phantom knows, as its task declares it."""
    known = {
        name: None
        for name, field in type(entry).model_fields.items()
        if isinstance(field.json_schema_extra, dict) and field.json_schema_extra.get("known_truth")
    }
    return entry.model_copy(update=known)


@cache
def run_of(config_text: str, root: Path) -> Run:
    """The run of a process that was handed the run's file as JSON: resolved once, whatever it is asked then."""
    from suite.config import Config

    return Run(Config.model_validate_json(config_text), root)
