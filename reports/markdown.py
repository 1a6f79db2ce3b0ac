"""Leaderboards as Markdown (GitHub's tables)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from reports.claims import Claim
from reports.leaderboard import Leaderboard, Row
from reports.tables import CLAIM_TITLES, NOTHING, claim_cells, cohort_text, columns, counted, tie_lines


def markdown(
    boards: Sequence[Leaderboard], claims: Sequence[Claim], pending: Mapping[str, Sequence[str]] | None = None
) -> str:
    """The whole report: one section a board, the boards that have no record yet, then the published claims."""
    parts = ["# Leaderboards"]
    parts += [] if boards else [NOTHING]
    for board in boards:
        parts += _section(board)
    if pending:
        parts += ["## Not scored yet", _list((key, ", ".join(cells)) for key, cells in pending.items())]
    parts += ["## Published claims"]
    parts += [table(CLAIM_TITLES, map(claim_cells, claims)) if claims else "No card states a published number."]
    return "\n\n".join(parts) + "\n"


def escape(text: str) -> str:
    """Text that Markdown shows as it is: no markup, no HTML, no break of a table's cell."""
    text = re.sub(r"\s+", " ", text)
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|~])", r"\\\1", text)


def table(titles: Iterable[str], rows: Iterable[Iterable[str]], numeric: Sequence[bool] = ()) -> str:
    from tabulate import tabulate

    titles = [escape(title) for title in titles]
    align = ["right" if n else "left" for n in numeric] or ["left"] * len(titles)
    body = [[escape(cell) for cell in row] for row in rows]
    return tabulate(body, headers=titles, tablefmt="pipe", colalign=align, disable_numparse=True)


def _section(board: Leaderboard) -> list[str]:
    parts = [
        f"## {escape(board.title)}",
        f"Protocol `{board.protocol}` version {escape(board.version)} · profile {escape(board.profile)} · "
        f"cohort {escape(cohort_text(board.cohort))}. Headline: {escape(board.metrics.means)}.",
    ]
    parts += [f"> **{notice.level.capitalize()}:** {escape(notice.text)}" for notice in board.notices]
    shown = [row for row in board.rows if row.group != "skipped"]
    if shown:
        parts.append(_rows(board, shown))
    parts.append("Controls and the oracle bracket the scale; they have no rank.")
    parts += ["\n".join(f"- {escape(line)}" for line in tie_lines(board))] if tie_lines(board) else []
    skipped = board.group("skipped")
    if skipped:
        parts += ["### Skipped", _list((row.title, row.reason or "no reason given") for row in skipped)]
    if board.excluded:
        parts += ["### Excluded by the protocol", _list(board.excluded)]
    if counted(board):
        parts += ["### Counted while scoring", _list(counted(board))]
    return parts


def _rows(board: Leaderboard, rows: Sequence[Row]) -> str:
    shown = columns(board)
    body = [[column.text(row) for column in shown] for row in rows]
    return table([c.title for c in shown], body, [c.numeric for c in shown])


def _list(pairs: Iterable[tuple[str, str]]) -> str:
    return "\n".join(f"- **{escape(name)}**: {escape(text)}" for name, text in pairs)
