"""The published number beside the measured one, and whether the two may be compared at all."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from protocols.records import AVERAGE, ScoreRecord
from reports.cells import first_seeds, title_of
from reports.describe import Cohort, Weights, describe_cohort, describe_weights
from reports.metrics import BoardMetrics, metrics_of
from reports.schedule import CUT, SMOKE, Training, describe_training

HEADLINE = "headline"


def answers(entry: Mapping[str, object], board: str) -> bool:
    """Whether a board is the one that a published number speaks of: any, the mean of cohorts, or one cohort's."""
    wanted = str(entry.get("board") or "")
    if not wanted:
        return True
    if wanted == AVERAGE:
        return board == AVERAGE
    return wanted.lower() in re.split(r"[^a-z0-9]+", board.lower())


def measured_key(metric: str, metrics: BoardMetrics) -> str | None:
    """The summary key (or :data:`HEADLINE`) of a published metric; None if nothing here is what the paper means."""
    if metric == metrics.key:
        return HEADLINE
    return metric if metric in metrics.secondary else None


class Status(StrEnum):
    """Why a published and a measured number may, or may not, stand against each other."""

    COMPARABLE = "comparable"
    PHANTOM = "not comparable: phantom cohort"
    RANDOM_WEIGHTS = "not comparable: random weights"
    UNKNOWN_WEIGHTS = "not comparable: weights not stated"
    OTHER_COHORT = "not comparable: other cohort"
    SMOKE_TEST = f"not comparable: {SMOKE}"
    SCHEDULE_CUT = f"not comparable: {CUT}"
    OTHER_METRIC = "not comparable: other metric"
    SKIPPED = "not measured: skipped"
    NOT_RUN = "not measured: protocol not run"
    NO_COHORT = "not measured: no such cohort here"
    UNDEFINED = "not measured: undefined"


@dataclass(frozen=True)
class Claim:
    """One published number, the measured one (None if there is none) and every reason that keeps them apart."""

    model: str
    title: str
    protocol: str
    task: str
    metric: str
    words: str
    board: str
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


def claims_of(record: ScoreRecord) -> tuple[Claim, ...]:
    """The card's published numbers for this record's own protocol."""
    return tuple(
        _claim(record, entry, record)
        for entry in _published(record)
        if entry.get("protocol") == record.protocol and answers(entry, record.board)
    )


def all_claims(records: Sequence[ScoreRecord], seed: int) -> tuple[Claim, ...]:
    """Every published number of every card, once, with its measured counterpart where that was run: of the run's own
    ``seed``, and of several boards that a number speaks of, of the one that comes nearest to the paper's."""
    firsts = first_seeds(records, seed)
    cells: dict[tuple[str, str], list[ScoreRecord]] = defaultdict(list)
    for record in firsts:
        cells[record.protocol, record.model].append(record)
    claims: dict[tuple[str, ...], Claim] = {}
    for record in sorted(firsts, key=lambda r: (r.model, r.protocol)):
        for entry in _published(record):
            key = (
                record.model,
                *(str(entry.get(name)) for name in ("protocol", "metric", "board", "source", "note", "value")),
            )
            if key not in claims:
                run = cells[str(entry.get("protocol")), record.model]
                own = [one for one in run if answers(entry, one.board)]
                absent = replace(_claim(record, entry, None), statuses=(Status.NO_COHORT if run else Status.NOT_RUN,))
                found = [_claim(record, entry, cell) for cell in own] or [absent]
                claims[key] = min(found, key=_distance)
    return tuple(claims[key] for key in sorted(claims))


def _distance(claim: Claim) -> tuple[bool, bool, int]:
    return claim.measured is None, claim.statuses != (Status.COMPARABLE,), len(claim.statuses)


def reasons_apart(weights: Weights, cohort: Cohort, source: str, training: Training) -> tuple[Status, ...]:
    """Why numbers from this cohort, these weights and this training do not answer a number printed in ``source``.

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
    if training.most_steps:
        reasons.append(Status.SMOKE_TEST)
    elif training.cut:
        reasons.append(Status.SCHEDULE_CUT)
    return tuple(reasons)


def _published(record: ScoreRecord) -> list[dict[str, object]]:
    return [entry for entry in record.card.get("published") or () if entry.get("value") is not None]


def _claim(owner: ScoreRecord, entry: dict[str, object], cell: ScoreRecord | None) -> Claim:
    metric, source = str(entry.get("metric", "")), str(entry.get("source", ""))
    measured, statuses = _measure(cell, metric, source)
    spread = entry.get("spread")
    return Claim(
        model=owner.model,
        title=title_of(owner),
        protocol=str(entry.get("protocol", "")),
        task=owner.task,
        metric=metric,
        words=str(entry.get("words") or metric),
        board=str(entry.get("board") or ""),
        is_headline=cell is not None and measured_key(metric, metrics_of([cell])) == HEADLINE,
        published=float(str(entry["value"])),
        spread=None if spread is None else float(str(spread)),
        spread_is=str(entry.get("spread_is") or ""),
        source=source,
        note=str(entry.get("note") or ""),
        measured=measured,
        statuses=statuses,
    )


def _measure(cell: ScoreRecord | None, metric: str, source: str) -> tuple[float | None, tuple[Status, ...]]:
    if cell is None:
        return None, (Status.NOT_RUN,)
    if cell.status == "skipped":
        return None, (Status.SKIPPED,)
    key = measured_key(metric, metrics_of([cell]))
    if key is None:
        return None, (Status.OTHER_METRIC,)
    measured = cell.headline.mean if key == HEADLINE else cell.summary.get(key)
    if measured is None:
        return None, (Status.UNDEFINED,)
    weights = describe_weights(cell.weights, kind=cell.kind)
    cohort, training = describe_cohort(cell.cohort), describe_training([cell])
    return measured, reasons_apart(weights, cohort, source, training) or (Status.COMPARABLE,)
