"""What cells took, in a page and a table of their own: times differ between two equal runs, and nothing else may."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from protocols.errors import UserError
from reports.leaderboard import Leaderboard, Row

NUMBERS = ("seconds", "peak_memory_mib", "peak_gpu_memory_mib", "units_per_second")


@dataclass(frozen=True)
class Timing:
    """Time and memory of one cell; None where it was not measured."""

    protocol: str
    board: str
    model: str
    title: str
    seconds: float | None
    peak_memory_mib: float | None
    peak_gpu_memory_mib: float | None
    units_per_second: float | None
    device: str


def read_timings(timings: Path, boards: Sequence[Leaderboard]) -> list[Timing]:
    """Of every row that has a file ``<timings>/<protocol>/<board>/<model>.json``, in the order of the leaderboards."""
    places = [(board, row, timings / board.protocol / board.board / f"{row.model}.json")
              for board in boards for row in board.rows if row.group != "skipped"]  # fmt: skip
    return [_read(board, row, path) for board, row, path in places if path.is_file()]


def _read(board: Leaderboard, row: Row, path: Path) -> Timing:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        numbers = {key: None if told.get(key) is None else float(told[key]) for key in NUMBERS}
        device = str(told.get("device") or row.device)
    except (OSError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"unreadable timing ({error})",
            where=path,
            expected='an object with "seconds", "peak_memory_mib", "device", "units_per_second"',
            remedy="delete the file or run the cell again",
        ) from error
    return Timing(board.protocol, board.board, row.model, row.title, device=device, **numbers)


def times_csv(found: Sequence[Timing]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.name for field in fields(Timing)])
    writer.writerows(astuple(one) for one in found)
    return text.getvalue()


def times_page(found: Sequence[Timing]) -> str:
    """A small page that ``index.html`` links to."""
    from reports.page import environment, page_style

    return environment().get_template("times.html.j2").render(
        timings=found, duration=duration, memory=memory, rate=rate, style=page_style()
    )  # fmt: skip


def duration(seconds: float | None) -> str:
    if seconds is None:
        return "n/a"
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h"


def memory(mib: float | None) -> str:
    if mib is None:
        return "n/a"
    return f"{mib:.0f} MiB" if mib < 1024 else f"{mib / 1024:.1f} GiB"


def rate(units: float | None) -> str:
    """Units a second, whole from ten on: what a unit is, a cell, a patch or a slide, the board says."""
    if units is None:
        return "n/a"
    return f"{units:,.0f}" if units >= 10 else f"{units:.1f}"
