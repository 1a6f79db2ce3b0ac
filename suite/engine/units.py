"""Units: who is trained on and who is asked about, for somebody who predicts elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from protocols.files import written_whole
from protocols.protocol import Protocol
from suite.engine.questions import question_of
from suite.engine.run import Run

if TYPE_CHECKING:
    import pandas as pd


def write_units(run: Run, protocol: Protocol, out: Path) -> int:
    """Write every board's units as one CSV, and beside it what is asked (genes) where the task has such a list.

    Tables come piece by piece: all tiles of a large cohort need not be in memory at once. Returns the number of rows.
    """
    task = run.tasks[protocol.task]
    written = _write(out, _pieces(run, protocol))
    if task.targets is not None:
        tables = [task.targets(question_of(run, protocol, board)) for board in run.boards_of(protocol)]
        kept = [table for table in tables if table is not None]
        if kept:
            _write(targets_file(out), kept)
    return written


def targets_file(out: Path) -> Path:
    """Where the genes lie that belong to the units in ``out``."""
    return out.with_name(f"{out.name.removesuffix('.gz').removesuffix('.csv')}_genes.csv")


def _pieces(run: Run, protocol: Protocol) -> Iterator[pd.DataFrame]:
    boards = run.boards_of(protocol)
    for board in boards:
        question = question_of(run, protocol, board)
        for table in run.tasks[protocol.task].units(question):
            if len(boards) > 1 and "cohort" not in table.columns and "section" not in table.columns:
                table = table.assign(cohort=board.cohort)[["cohort", *table.columns]]
            yield table


def _write(out: Path, pieces: Iterable[pd.DataFrame]) -> int:
    written = 0
    with written_whole(out) as part, part.open("w", encoding="utf-8", newline="") as file:
        for table in pieces:
            table.to_csv(file, index=False, header=not written)
            written += len(table)
    return written
