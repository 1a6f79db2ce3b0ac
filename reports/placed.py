"""Where an answer would stand on its board, with the controls below and the ceiling above beside it."""

from __future__ import annotations

from protocols.errors import UserError
from protocols.records import ScoreRecord
from reports.direction import best_first, headed
from reports.leaderboard import SAME_DATA, Leaderboard, Row, board_key, title_of
from reports.ranking import Measured, rank
from reports.tables import headline_text, interval, number

BEST = 3
"""The best models are always shown; of the others, those beside the answer."""
Line = tuple[str, str, str, str, str]


def placed(board: Leaderboard, record: ScoreRecord, *, seed: int = 0) -> str:
    """A short table: the rank that ``record`` has among the board's models (a row of its own name is left out).

    Raises :class:`UserError` for a record of another board, of other data, or without a number.
    """
    _refuse(board, record)
    rows = [row for row in board.rows if row.model != record.model and row.headline.mean is not None]
    rivals = [row for row in rows if row.group == "ranked"]
    measured = {row.model: Measured(row.headline.mean or 0.0, row.per_patient, row.replicates) for row in rivals}
    measured[record.model] = Measured(record.headline.mean or 0.0, record.per_patient, record.replicates)
    ranks = rank(measured, board.headline, seed=seed).ranks
    own = _line(str(ranks.get(record.model, "")), f"> {title_of(record)}", record.kind, record.headline.mean,
                interval(record.headline))  # fmt: skip
    order = sorted(
        [(ranks.get(row.model, 0), best_first(board.headline, row.headline.mean), row.title, _of(row, ranks))
         for row in rivals]
        + [(ranks.get(record.model, 0), best_first(board.headline, record.headline.mean), title_of(record), own)]
    )  # fmt: skip
    lines = [line for *_, line in order]
    return _text(board, _shortened(lines, lines.index(own)), [_of(row, ranks) for row in rows if row not in rivals])


def _refuse(board: Leaderboard, record: ScoreRecord) -> None:
    where, remedy = f"record of {record.model}", "score the answers again"
    if board_key(record.protocol, record.board) != board.key:
        raise UserError(f"a record of {board_key(record.protocol, record.board)}", where=where,
                        expected=f"one of {board.key}", remedy=remedy)  # fmt: skip
    if record.status != "scored" or record.headline.mean is None:
        raise UserError(record.reason or "the headline is undefined", where=where, expected="a number", remedy=remedy)
    for name in SAME_DATA:
        others = {row.hashes[name] for row in board.rows if row.group != "skipped" and name in row.hashes}
        if others and record.hashes.get(name) not in others:
            raise UserError(
                f"scored on a different {name} than {board.key}", where=where, expected="the board's", remedy=remedy
            )


def _of(row: Row, ranks: dict[str, int]) -> Line:
    return _line(str(ranks.get(row.model, "")), row.title, row.kind, row.headline.mean, interval(row.headline))


def _line(place: str, title: str, kind: str, mean: float | None, ci: str) -> Line:
    return (place, title, kind, number(mean), ci)


def _shortened(lines: list[Line], own: int) -> list[Line]:
    """The best, the answer and its neighbours; a line of dots where models are left out."""
    kept = sorted({*range(min(BEST, len(lines))), *(i for i in (own - 1, own, own + 1) if 0 <= i < len(lines))})
    shown: list[Line] = []
    last = -1
    for place in kept:
        shown += [("", f"… {place - last - 1} more", "", "", "")] if place > last + 1 else []
        shown.append(lines[place])
        last = place
    rest = len(lines) - 1 - last
    return shown + ([("", f"… {rest} more", "", "", "")] if rest else [])


def _text(board: Leaderboard, models: list[Line], references: list[Line]) -> str:
    from tabulate import tabulate

    titles = ("Rank", "Model", "Kind", headed(board.headline), "95 % CI")
    oracle = [line for line in references if line[2] == "oracle"]
    others = [line for line in references if line[2] != "oracle"]
    table = tabulate([*oracle, *models, *others], headers=titles, disable_numparse=True)
    return f"{board.title}. {headline_text(board)}.\n\n{table}\n"
