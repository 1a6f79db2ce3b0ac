"""The published number beside the measured one, and whether the two may be compared at all."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from protocols.records import AVERAGE, ScoreRecord
from reports.describe import Cohort, Weights, describe_cohort, describe_weights


def answers(board: str, asked: str) -> bool:
    """Whether a board is the one that a published number speaks of.

    ``asked`` is empty for any board, "average" for the mean over cohorts, else a word of the board's name, lower-case:
    "brca" is asked of "tcga-brca" and "phantom_brca", never of "brca2".
    """
    if not asked:
        return True
    if AVERAGE in (asked, board):
        return asked == board
    return asked.lower() in re.split(r"[^a-z0-9]+", board.lower())


class Status(StrEnum):
    """Why a published and a measured number may, or may not, stand against each other."""

    COMPARABLE = "comparable"
    PHANTOM = "not comparable: phantom cohort"
    RANDOM_WEIGHTS = "not comparable: random weights"
    UNKNOWN_WEIGHTS = "not comparable: weights not stated"
    OTHER_COHORT = "not comparable: other cohort"
    OTHER_METRIC = "not comparable: other metric"
    SKIPPED = "not measured: skipped"
    NOT_RUN = "not measured: protocol not run"
    UNDEFINED = "not measured: undefined"


@dataclass(frozen=True)
class Claim:
    """One published number, the measured one (None if there is none) and every reason that keeps them apart.

    ``board`` is where it was measured, empty where nothing answers; ``metric`` the key that answers it, empty where
    nothing measured here is what the paper means; ``words`` what to call it.
    """

    model: str
    title: str
    protocol: str
    board: str
    metric: str
    words: str
    is_headline: bool
    published: float
    spread: float | None
    spread_is: str
    source: str
    note: str
    measured: float | None
    statuses: tuple[Status, ...]

    @property
    def verdict(self) -> str:
        """All reasons in one line, the common first words said once."""
        first, *rest = [str(status) for status in self.statuses]
        return "; ".join([first, *(status.removeprefix("not comparable: ") for status in rest)])


Entry = Mapping[str, Any]
"""One of a card's published numbers, as a record keeps it: see :class:`protocols.contract.Published`."""


def claims_of(record: ScoreRecord) -> tuple[Claim, ...]:
    """The card's published numbers for this record's own board."""
    return tuple(
        _claim(record, entry, record)
        for entry in _published(record)
        if entry["protocol"] == record.protocol and answers(record.board, str(entry.get("board") or ""))
    )


def all_claims(records: Sequence[ScoreRecord]) -> tuple[Claim, ...]:
    """Every published number of every card, once for each board that answers it, or once where none was run.

    ``records``: one a cell (:func:`reports.seeds.first_seeds`).
    """
    boards: dict[tuple[str, str], list[ScoreRecord]] = defaultdict(list)
    for record in records:
        boards[record.protocol, record.model].append(record)
    claims: dict[tuple[str, ...], Claim] = {}
    for record in sorted(records, key=lambda r: (r.model, r.protocol, r.board)):
        for entry in _published(record):
            own = boards[str(entry["protocol"]), record.model]
            asked = str(entry.get("board") or "")
            answering: list[ScoreRecord | None] = [r for r in own if answers(r.board, asked)]
            for cell in answering or [None]:
                key = (
                    record.model,
                    *(str(entry.get(name) or "") for name in ("protocol", "metric", "words", "board")),
                    cell.board if cell else "",
                    *(str(entry.get(name) or "") for name in ("source", "note", "value")),
                )
                claims.setdefault(key, _claim(record, entry, cell))
    return tuple(claims[key] for key in sorted(claims))


def reasons_apart(weights: Weights, cohort: Cohort, source: str) -> tuple[Status, ...]:
    """Why numbers from this cohort and these weights do not answer a number printed in ``source``.

    A cohort answers a paper only if it says so itself (``published_in`` names the source): equal names prove nothing.
    """
    reasons = []
    if cohort.phantom:
        reasons.append(Status.PHANTOM)
    elif source not in cohort.published_in:
        reasons.append(Status.OTHER_COHORT)
    if weights.has_random:
        reasons.append(Status.RANDOM_WEIGHTS)
    elif weights.state in ("unknown", "predictions only"):
        reasons.append(Status.UNKNOWN_WEIGHTS)
    return tuple(reasons)


def _published(record: ScoreRecord) -> list[Entry]:
    return [entry for entry in record.card.get("published") or () if entry.get("value") is not None]


def _claim(owner: ScoreRecord, entry: Entry, cell: ScoreRecord | None) -> Claim:
    metric, source = str(entry.get("metric") or ""), str(entry.get("source") or "")
    measured, statuses = _measure(cell, metric, source)
    spread = entry.get("spread")
    return Claim(
        model=owner.model,
        title=str(owner.card.get("title") or owner.model),
        protocol=str(entry["protocol"]),
        board=cell.board if cell else "",
        metric=metric,
        words=_words(entry, metric, cell),
        is_headline=cell is not None and metric == cell.headline_metric.key,
        published=float(entry["value"]),
        spread=None if spread is None else float(spread),
        spread_is=str(entry.get("spread_is") or ""),
        source=source,
        note=str(entry.get("note") or ""),
        measured=measured,
        statuses=statuses,
    )


def _words(entry: Entry, metric: str, cell: ScoreRecord | None) -> str:
    """The paper's own words; else the metric's title, else its key. And whose number it is, where a paper has many."""
    titles = {one.key: one.title for one in cell.typed_metrics} if cell else {}
    named = str(entry.get("words") or titles.get(metric, metric))
    return named + (f", {entry['board']}" if entry.get("board") else "")


def _measure(cell: ScoreRecord | None, metric: str, source: str) -> tuple[float | None, tuple[Status, ...]]:
    if cell is None:
        return None, (Status.NOT_RUN,)
    if cell.status == "skipped":
        return None, (Status.SKIPPED,)
    if not metric:
        return None, (Status.OTHER_METRIC,)
    measured = cell.headline.mean if metric == cell.headline_metric.key else cell.summary.get(metric)
    if measured is None:
        return None, (Status.UNDEFINED,)
    weights = describe_weights(cell.weights, kind=cell.kind)
    return measured, reasons_apart(weights, describe_cohort(cell.cohort), source) or (Status.COMPARABLE,)
