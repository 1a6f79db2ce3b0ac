"""The published number beside the measured one, and whether the two may be compared at all."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from protocols.records import AVERAGE, ScoreRecord
from reports.describe import Cohort, Weights, describe_cohort, describe_weights

HEADLINE = "headline"
_METRICS = {
    "survival": (
        (re.compile(r"(ipcw|uno).*c.index|c.index.*(ipcw|uno)"), "uno_mean"),
        (re.compile(r"c.index"), HEADLINE),
        (re.compile(r"log.rank p"), "logrank_p"),
    ),
    "image": (
        (re.compile(r"h.score"), "h_score_r"),
        (re.compile(r"ssim.*global"), "ssim_global"),
        (re.compile(r"ssim"), "ssim"),
        (re.compile(r"psnr"), HEADLINE),
    ),
    "bulk": (
        (re.compile(r"well.predicted genes"), "well_predicted"),
        (re.compile(r"median r of the top"), "top_median_as_published"),
        (re.compile(r"genes validated externally"), "external_held"),
        (re.compile(r"pooled"), "pearson_pooled"),
        (re.compile(r"(mean|per.gene).*(pearson|\br\b)"), HEADLINE),
    ),
    "spatial": (
        (re.compile(r"median emd"), "emd_own_genes"),
        (re.compile(r"pearson"), HEADLINE),
    ),
    "expression": (
        (re.compile(r"rand|\bari\b"), "ari"),
        (re.compile(r"\bf1\b"), "rare_f1"),
        (re.compile(r"pooled.*(pearson|\br\b)|pearson.*pooled"), "pearson_pooled"),
        (re.compile(r"spearman"), "spearman_per_slide"),
        (re.compile(r"\bmse\b|mean squared"), "mse_per_slide"),
        (
            re.compile(r"(mean|per.slide|per.gene).*pearson|pearson.*(mean|per.slide|per.gene)|^(pearson|pcc|r)$"),
            HEADLINE,
        ),
    ),
}
"""What a card's words for a metric mean here; the first match counts, and what matches none is another metric."""


MEAN_OF_COHORTS = "mean of cohorts"
WITHIN_METRIC = ("global window",)
"""Words behind a comma that belong to the metric and name no cohort."""


def answers(metric: str, board: str) -> bool:
    """Whether a board is the one that a published metric speaks of: of cohort X only X's board, of a mean the average.

    A protocol with a single board answers everything.
    """
    if not board:
        return True
    if ", " not in metric or metric.rpartition(", ")[2] in WITHIN_METRIC:
        return True
    if MEAN_OF_COHORTS in metric:
        return board == AVERAGE
    cohort = re.split(r"[^a-z0-9]+", metric.rpartition(", ")[2].lower())[-1]  # "TCGA-BRCA" is BRCA
    return cohort in re.split(r"[^a-z0-9]+", board.lower())


def measured_key(metric: str, task: str = "expression") -> str | None:
    """The summary key (or :data:`HEADLINE`) that answers a published metric, or None if nothing here does."""
    words = metric.lower().replace("_", " ")
    return next((key for pattern, key in _METRICS[task] if pattern.search(words)), None)


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
    """One published number, the measured one (None if there is none) and every reason that keeps them apart."""

    model: str
    title: str
    protocol: str
    task: str
    metric: str
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
        if entry.get("protocol") == record.protocol and answers(str(entry.get("metric", "")), record.board)
    )


def all_claims(records: Sequence[ScoreRecord]) -> tuple[Claim, ...]:
    """Every published number of every card, once, with its measured counterpart where that was run."""
    cells: dict[tuple[str, str], list[ScoreRecord]] = defaultdict(list)
    for record in records:
        cells[record.protocol, record.model].append(record)
    claims: dict[tuple[str, ...], Claim] = {}
    for record in sorted(records, key=lambda r: (r.model, r.protocol)):
        for entry in _published(record):
            key = (record.model, *(str(entry.get(name)) for name in ("protocol", "metric", "source", "note", "value")))
            if key not in claims:
                own = cells[str(entry.get("protocol")), record.model]
                cell = next((r for r in own if answers(str(entry.get("metric", "")), r.board)), None)
                claims[key] = _claim(record, entry, cell)
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


def _published(record: ScoreRecord) -> list[dict[str, object]]:
    return [entry for entry in record.card.get("published") or () if entry.get("value") is not None]


def _claim(owner: ScoreRecord, entry: dict[str, object], cell: ScoreRecord | None) -> Claim:
    metric, source = str(entry.get("metric", "")), str(entry.get("source", ""))
    measured, statuses = _measure(cell, metric, source)
    spread = entry.get("spread")
    return Claim(
        model=owner.model,
        title=str(owner.card.get("title") or owner.model),
        protocol=str(entry.get("protocol", "")),
        task=owner.task,
        metric=metric,
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
    key = measured_key(metric, cell.task)
    if key is None:
        return None, (Status.OTHER_METRIC,)
    measured = cell.headline.mean if key == HEADLINE else cell.summary.get(key)
    if measured is None:
        return None, (Status.UNDEFINED,)
    weights = describe_weights(cell.weights, kind=cell.kind)
    return measured, reasons_apart(weights, describe_cohort(cell.cohort), source) or (Status.COMPARABLE,)
