"""Leaderboards in the terminal: compact, with the warnings that belong to them and the path of the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from reports.cells import load_records
from reports.contract import Contracts
from reports.leaderboard import Leaderboard, Row, build_leaderboards, without_records
from reports.notices import Notice, TaskNotices
from reports.tables import NOTHING, cohort_text, columns, shared_notices, tie_lines

if TYPE_CHECKING:
    from rich.console import Console

SHOWN = ("rank", "model", "mean", "ci", "n", "weights", "schedule")
WIDE = (*SHOWN, "behind", "seeds", "published")
WIDE_FROM = 120
"""Terminal columns from which the wide set of the table's columns fits."""
STYLES = {"reference": "dim italic", "skipped": "dim", "unranked": "yellow"}


def print_leaderboards(
    scores: Path | Sequence[Path],
    *,
    seed: int,
    page: Path | None = None,
    missing: Mapping[str, Sequence[str]] | None = None,
    task_notices: Mapping[str, TaskNotices] | None = None,
    contracts: Contracts | None = None,
    console: Console | None = None,
) -> None:
    """Print one table a board from score records, with all that the page says of it; ``page`` is only named, not read.

    ``missing``, ``task_notices`` and ``contracts`` as in :func:`reports.leaderboard.build_leaderboards`.
    """
    from rich.console import Console
    from rich.text import Text

    console = console or Console()
    boards = build_leaderboards(
        load_records(scores), seed, missing=missing, task_notices=task_notices, contracts=contracts
    )
    if not boards:
        console.print(Text(NOTHING))
    shared = shared_notices(boards)
    for board in boards:
        _print_board(console, board, shared)
    for notice in shared:
        _print_notice(console, notice)
    for key, cells in without_records(boards, missing or {}).items():
        console.print(Text(f"not scored yet: {key}: {', '.join(cells)}", style="dim"))
    if page is not None:
        console.print(Text(f"page: {page}"), soft_wrap=True)


def _print_notice(console: Console, notice: Notice) -> None:
    from rich.text import Text

    console.print(Text(f"{notice.level}: {notice.text}", style="yellow" if notice.level == "warning" else ""))


def _print_board(console: Console, board: Leaderboard, said_once: Sequence[Notice]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    wanted = WIDE if console.width >= WIDE_FROM else SHOWN
    shown = [column for column in columns(board) if column.key in wanted]
    table = Table(
        box=box.SIMPLE_HEAD, padding=(0, 1), title=Text(board.title, style="bold"), title_justify="left", pad_edge=False
    )
    for column in shown:
        table.add_column(
            column.title,
            justify="right" if column.numeric else "left",
            no_wrap=column.key not in ("model", "published", "schedule"),
        )
    previous: Row | None = None
    for row in board.rows:
        if row.group == "skipped":
            continue
        if previous is not None and previous.group != row.group:
            table.add_section()
        # Text, not str: a model's name may look like rich's markup.
        table.add_row(*(Text(column.text(row)) for column in shown), style=STYLES.get(row.group, ""))
        previous = row
    console.print(table)
    console.print(Text(f"{cohort_text(board.cohort)} · profile {board.profile}", style="dim"))
    for notice in board.notices:
        if notice not in said_once:
            _print_notice(console, notice)
    for line in tie_lines(board):
        console.print(Text(line, style="dim"))
    for row in board.group("skipped"):
        console.print(Text(f"skipped: {row.title}: {row.reason or 'no reason given'}", style="dim"))
    console.print()
