"""What cells took, in a page and a table of their own: times differ between two equal runs, and nothing else may."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, fields

from reports.describe import Cost
from reports.leaderboard import Leaderboard, Row

MISSING = "n/a"
NAMES = ("protocol", "board", "model")


def timed(boards: Sequence[Leaderboard]) -> list[tuple[Leaderboard, Row]]:
    """The cells that were timed, in the order of the leaderboards."""
    return [(board, row) for board in boards for row in board.rows if row.cost != Cost()]


def times_csv(boards: Sequence[Leaderboard]) -> str:
    """One row a timed cell."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [*NAMES, *(field.name for field in fields(Cost))], lineterminator="\n")
    writer.writeheader()
    for board, row in timed(boards):
        writer.writerow(dict(zip(NAMES, (board.protocol, board.board, row.model), strict=True)) | asdict(row.cost))
    return text.getvalue()


def times_page(boards: Sequence[Leaderboard]) -> str:
    """A small page that ``index.html`` links to."""
    from reports.page import environment, style

    return environment().get_template("times.html.j2").render(
        timings=timed(boards), duration=duration, memory=memory, rate=rate, style=style()
    )  # fmt: skip


def duration(seconds: float | None) -> str:
    if seconds is None:
        return MISSING
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h"


def memory(mib: float | None) -> str:
    if mib is None:
        return MISSING
    return f"{mib:.0f} MiB" if mib < 1024 else f"{mib / 1024:.1f} GiB"


def rate(units: float | None) -> str:
    """Units a second, whole from ten on: what a unit is, a cell, a patch or a patient, the board says."""
    if units is None:
        return MISSING
    return f"{units:,.0f}" if units >= 10 else f"{units:.1f}"
