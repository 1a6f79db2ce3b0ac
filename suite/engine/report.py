"""Report: every record that is there, and what is not there said; no cell has to wait for another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from protocols.records import RECORD_FILE
from protocols.registry import load_protocol, load_task, task_modules
from suite.engine.handover import finish_handovers
from suite.engine.run import Run
from suite.places import COHORTS, REPORTS, SCORES, SUBMISSIONS, TIMINGS

if TYPE_CHECKING:
    from reports.write import ReportPaths


def cells(run: Run) -> list[Path]:
    """Folders of the run's records, then those of submissions to its boards."""
    finish_handovers()
    boards = {(board.protocol, board.name) for board in run.boards} | {(name, "average") for name in run.protocols}
    found = [path.parent for path in sorted(SCORES.glob(f"*/*/*/*/{RECORD_FILE}"))]
    found += [path.parent for path in sorted(SUBMISSIONS.glob(f"*/*/*/{RECORD_FILE}"))]
    kept = []
    for folder in found:
        protocol, board = folder.relative_to(SCORES if SCORES in folder.parents else SUBMISSIONS).parts[:2]
        if (protocol, board) in boards:
            kept.append(folder)
    return kept


def missing(run: Run) -> dict[str, list[str]]:
    """Board (``<protocol>-<board>``) to the listed models that have no record there yet."""
    found: dict[str, list[str]] = {}
    for board in run.boards:
        task = run.protocols[board.protocol].task
        absent = [
            entry.name
            for entry in run.models_of(task)
            if not any((SCORES / board.protocol / board.name / entry.name).glob(f"*/{RECORD_FILE}"))
        ]
        if absent:
            found[f"{board.protocol}-{board.name}"] = absent
    return found


def run_report(run: Run) -> ReportPaths:
    """Write ``runs/reports``."""
    from reports.write import write_reports

    notices = {name: part for name in task_modules() if (part := load_task(name).notices) is not None}
    return write_reports(
        cells(run),
        REPORTS,
        seed=run.config.seed,
        timings=TIMINGS,
        sections=_sections(run),
        missing=missing(run),
        task_notices=notices,
    )


def _sections(run: Run) -> dict[str, Path]:
    """Board of maps to the folder of its stored sections: boards whose truth lies in another cohort than the fits'."""
    return {
        board.name: COHORTS / load_protocol(board.protocol).task / board.cohort
        for board in run.boards
        if board.cohort != board.fitted_on
    }
