"""Report: every record that is there, and what is not there said; no cell has to wait for another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from protocols.protocol import Board
from protocols.records import AVERAGE, RECORD_FILE
from suite.engine.handover import finish_handovers
from suite.engine.run import Run
from suite.places import CHECKS, REPORTS, SCORES, SUBMISSIONS, TIMINGS, cohort_folder, found, score_folder

if TYPE_CHECKING:
    from reports.contract import Contracts
    from reports.notices import TaskNotices
    from reports.write import ReportPaths
    from suite.config import Config


def cells(run: Run) -> list[Path]:
    """Folders of the run's records, then those of submissions to its boards; none that is still being filled."""
    finish_handovers()
    boards = {(board.protocol, board.name) for board in run.boards} | {(name, AVERAGE) for name in run.protocols}
    return [
        path.parent
        for root, depth in ((SCORES, "*/*/*/*"), (SUBMISSIONS, "*/*/*"))
        for path in found(root, f"{depth}/{RECORD_FILE}")
        if path.relative_to(root).parts[:2] in boards
    ]


def missing(run: Run) -> dict[str, list[str]]:
    """Board (``<protocol>-<board>``) to its cells that have no record yet: of every listed model and training seed, and
    of the controls that scoring makes."""
    from reports.cells import board_key

    absent = {board_key(board.protocol, board.name): list(_missing(run, board)) for board in run.boards}
    return {key: cells for key, cells in absent.items() if cells}


def _missing(run: Run, board: Board) -> Iterator[str]:
    """Names of models, with the seed behind where others of its seeds are there."""
    protocol, seeds = run.protocols[board.protocol], run.config.seeds
    wanted = [(entry.name, seeds) for entry in run.models_of(protocol.task)]
    wanted += [(card.name, seeds[:1]) for card in protocol.controls]
    for name, own in wanted:
        folders = {seed: score_folder(board.protocol, board.name, name, seed) for seed in own}
        absent = [seed for seed, folder in folders.items() if not (folder / RECORD_FILE).is_file()]
        if absent == list(own):
            yield name
        else:
            yield from (f"{name} (seed {seed})" for seed in absent)


def notices(run: Run) -> dict[str, TaskNotices]:
    """What each task of the run has to say of a board's records."""
    return {name: task.notices for name, task in run.tasks.items() if task.notices is not None}


def contracts(config: Config) -> Contracts:
    """What the contract tests say of every listed model."""
    from reports.contract import read_contracts

    return read_contracts(CHECKS, config.models, leave_out=config.contract == "leave_out")


def run_report(run: Run) -> ReportPaths:
    """Write ``runs/reports``."""
    from reports.write import write_reports

    return write_reports(
        cells(run),
        REPORTS,
        seed=run.config.seed,
        timings=TIMINGS,
        sections=_sections(run),
        missing=missing(run),
        task_notices=notices(run),
        contracts=contracts(run.config),
    )


def _sections(run: Run) -> dict[str, Path]:
    """Board (``<protocol>-<board>``) of maps to the folder of its stored sections: boards whose truth lies in another
    cohort than the fits'."""
    from reports.cells import board_key

    return {
        board_key(board.protocol, board.name): cohort_folder(run.protocols[board.protocol].task, board.cohort)
        for board in run.boards
        if board.cohort != board.fitted_on
    }
