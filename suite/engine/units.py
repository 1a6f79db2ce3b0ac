"""Units: who is trained on and who is asked about, for somebody who predicts elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from protocols.files import written_whole
from protocols.protocol import Protocol
from protocols.task import Question
from suite.engine.questions import question_of
from suite.engine.run import Run

if TYPE_CHECKING:
    import pandas as pd


def write_units(run: Run, protocol: Protocol, out: Path) -> int:
    """Write every board's units as one CSV, and beside it what is asked (genes) where the task has such a list.

    Tables come piece by piece: all tiles of a large cohort need not be in memory at once. Returns the number of rows.
    """
    task = run.tasks[protocol.task]
    written = _write(out, _pieces(run, protocol, task.units))
    if task.targets is not None:
        targets = task.targets

        def asked(question: Question) -> list[pd.DataFrame]:
            table = targets(question)
            return [] if table is None else [table]

        kept = list(_pieces(run, protocol, asked))
        if kept:
            _write(targets_file(out), kept)
    return written


def targets_file(out: Path) -> Path:
    """Where the genes lie that belong to the units in ``out``."""
    return out.with_name(f"{out.name.removesuffix('.gz').removesuffix('.csv')}_genes.csv")


def _pieces(
    run: Run, protocol: Protocol, tables: Callable[[Question], Iterable[pd.DataFrame]]
) -> Iterator[pd.DataFrame]:
    """Every board's tables, with the cohort in front where there are several boards and a table does not say it.

    What is asked follows from settings that scoring alone reads, too (how many genes of a section).
    """
    boards = run.boards_of(protocol)
    for board in boards:
        for table in tables(question_of(run, protocol, board, scoring=True)):
            if len(boards) > 1 and "cohort" not in table.columns:
                table = table.assign(cohort=board.cohort)[["cohort", *table.columns]]
            yield table


def _write(out: Path, pieces: Iterable[pd.DataFrame]) -> int:
    written = 0
    with written_whole(out) as part, part.open("w", encoding="utf-8", newline="") as file:
        for table in pieces:
            table.to_csv(file, index=False, header=not written)
            written += len(table)
    return written
