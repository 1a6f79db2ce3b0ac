"""From score records to leaderboards: ranks with ties, reference rows, skipped cells, and what must be warned of."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from protocols.errors import UserError
from protocols.metrics.intervals import standard_error
from protocols.records import AVERAGE, Interval, ScoreRecord
from reports.cells import board_key, by_cell, title_of
from reports.claims import Claim, claims_of
from reports.contract import Contract, Contracts, contract_notices, why_left_out
from reports.describe import PREDICTIONS_ONLY, Cohort, Cost, Weights, describe_cohort, describe_weights, read_cost
from reports.metrics import BoardMetrics, metrics_of
from reports.notices import Notice, TaskNotices, collect_notices
from reports.ranking import Behind, Detectable, Ranking, rank_models
from reports.schedule import CUT, Training, describe_training

Group = Literal["ranked", "unranked", "reference", "skipped"]
GROUPS: tuple[Group, ...] = ("ranked", "unranked", "reference", "skipped")
SAME_DATA = ("cohort", "split")
"""Hashes that must agree between the scored cells of one leaderboard."""
VERSION = "protocol version"


@dataclass(frozen=True)
class Row:
    """One cell of the matrix as a leaderboard shows it. Only rows of the group ``ranked`` have a rank."""

    model: str
    title: str
    kind: str
    group: Group
    rank: int | None
    reason: str
    headline: Interval
    summary: dict[str, float | None]
    weights: Weights
    profile: str
    seed: int
    device: str
    cost: Cost
    claims: tuple[Claim, ...]
    card: dict[str, Any]
    counts: dict[str, int]
    per_patient: dict[str, float]
    per_gene: tuple[dict[str, Any], ...]
    details: dict[str, Any]
    seeds: tuple[tuple[int, float | None], ...]
    """Scored training seeds and the headline of each; the row itself is of the run's own seed."""
    behind: Behind | None
    """Against the best model of the board; None for the best itself and where there is no rank."""
    error: float | None
    """Standard error of the headline over patients."""
    hashes: dict[str, str]
    libraries: dict[str, str]
    contract: Contract | None = None
    """What the contract tests say of it; None where nobody asked."""
    training: Training = field(default_factory=Training)
    """How long it was trained, over folds and training seeds."""

    @property
    def mark(self) -> str:
        """Stands behind the rank of a model that fails a contract test."""
        return self.contract.mark if self.contract else ""

    @property
    def curves(self) -> list[dict[str, Any]]:
        """Kaplan-Meier curves of the halves by risk; none off survival, or where every risk is the same."""
        return self.details.get("curves") or []

    @property
    def spread(self) -> tuple[float, float] | None:
        """Mean and standard deviation (n - 1) of the headline over training seeds; None with fewer than two."""
        known = self.measured_seeds
        if len(known) < 2:
            return None
        mean = sum(known) / len(known)
        return mean, (sum((value - mean) ** 2 for value in known) / (len(known) - 1)) ** 0.5

    @property
    def seed_share(self) -> float | None:
        """Share of the headline's variance that is the training seed, the rest being the patients drawn; None with
        fewer than two seeds, or without a standard error over patients."""
        if self.spread is None or self.error is None:
            return None
        seed, patients = self.spread[1] ** 2, self.error**2
        return seed / (seed + patients) if seed + patients > 0 else None

    @property
    def measured_seeds(self) -> list[float]:
        return [value for _, value in self.seeds if value is not None]


@dataclass(frozen=True)
class Leaderboard:
    """All models' answers to one board of a protocol; ``rows`` are in the order in which they are shown."""

    protocol: str
    board: str
    task: str
    version: str
    title: str
    profile: str
    cohort: Cohort
    metrics: BoardMetrics
    place: int
    rows: tuple[Row, ...]
    missing: tuple[str, ...]
    """Cells of the run that are not scored here yet."""
    excluded: tuple[tuple[str, str], ...]
    notices: tuple[Notice, ...]
    ties: tuple[tuple[int, tuple[str, ...]], ...]
    """Groups of models (their titles) that share a rank."""
    detectable: Detectable | None
    telling: bool
    """Whether these patients are enough to tell any two models apart."""

    def group(self, group: Group) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.group == group)

    @property
    def key(self) -> str:
        """Names files and entries."""
        return board_key(self.protocol, self.board)

    @property
    def secondary(self) -> tuple[str, ...]:
        """The secondary metrics that at least one row has been measured by, in the table's order."""
        known = self.metrics.secondary
        return tuple(key for key in known if any(row.summary.get(key) is not None for row in self.rows))


def build_leaderboards(
    records: Sequence[ScoreRecord],
    seed: int,
    *,
    timings: Path | None = None,
    missing: Mapping[str, Sequence[str]] | None = None,
    task_notices: Mapping[str, TaskNotices] | None = None,
    contracts: Contracts | None = None,
) -> list[Leaderboard]:
    """One leaderboard a board, protocols in their own order, an average ahead of what it averages.

    ``seed`` is the run's own: of the sign flips behind ranks, and of the records that stand for cells of several
    training seeds; ``missing``: board key to the cells of the run that have no record yet; ``task_notices``: what each
    task has to say of a board's records; ``contracts``: what the contract tests say of each model.
    """
    found: dict[tuple[str, str], list[list[ScoreRecord]]] = defaultdict(list)
    for (protocol, board, _), own in by_cell(records, seed).items():
        found[protocol, board].append(own)
    boards = [
        _build(
            cells,
            seed,
            timings,
            (missing or {}).get(board_key(*key), ()),
            (task_notices or {}).get(cells[0][0].task),
            contracts,
        )
        for key, cells in found.items()
    ]
    return sorted(boards, key=lambda one: (one.place, one.protocol, one.board != AVERAGE, one.board))


def without_records(boards: Sequence[Leaderboard], missing: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """The missing cells of boards that have no record at all, by board key: none of ``boards`` speaks of them."""
    there = {board.key for board in boards}
    return {key: tuple(cells) for key, cells in sorted(missing.items()) if cells and key not in there}


def _build(
    cells: Sequence[list[ScoreRecord]],
    seed: int,
    timings: Path | None,
    missing: Sequence[str],
    of_task: TaskNotices | None,
    contracts: Contracts | None,
) -> Leaderboard:
    records = [own[0] for own in cells]
    scored = [record for record in records if record.status == "scored"]
    _refuse_mixed_data([record for own in cells for record in own if record.status == "scored"])
    first, metrics = (scored or records)[0], metrics_of([record for own in cells for record in own])
    ranked = [own for own in cells if _group(own[0], metrics, contracts) == "ranked"]
    ranking = _ranked(ranked, metrics, seed)
    made = (_row(own, metrics, ranking, timings, contracts) for own in cells)
    rows = sorted(made, key=lambda row: _place(row, metrics.sign))
    cohort, titles = describe_cohort(first.cohort), {row.model: row.title for row in rows}
    return Leaderboard(
        protocol=first.protocol,
        board=first.board,
        task=first.task,
        version=first.protocol_version,
        title=f"{first.protocol_title or first.protocol}: {first.board}",
        profile=", ".join(sorted({r.profile for r in records} - {PREDICTIONS_ONLY})) or first.profile,
        cohort=cohort,
        metrics=metrics,
        place=first.place,
        rows=tuple(rows),
        missing=tuple(missing),
        excluded=tuple(sorted({(e.get("what", ""), e.get("reason", "")) for r in records for e in r.excluded})),
        notices=collect_notices(
            scored or records,
            cohort,
            missing=missing,
            of_task=of_task,
            more=contract_notices({row.model: row.title for row in rows}, contracts) if contracts else (),
        ),
        ties=tuple((rank, tuple(titles[model] for model in models)) for rank, models in ranking.ties),
        detectable=_titled(ranking.detectable, titles),
        telling=ranking.telling,
    )


def _ranked(measured: Sequence[list[ScoreRecord]], metrics: BoardMetrics, seed: int) -> Ranking:
    values = {own[0].model: own[0].values for own in measured}
    known = {model: found for model, found in values.items() if found is not None}
    return rank_models(
        known, seed=seed, sign=metrics.sign, noise={own[0].model: _seed_variance(own) for own in measured}
    )


def _seed_variance(own: Sequence[ScoreRecord]) -> float:
    """Of the headline between training seeds; 0 where only one was trained."""
    means = [one.headline.mean for one in own if one.headline.mean is not None]
    return statistics.variance(means) if len(means) > 1 else 0.0


def placed(board: Leaderboard, record: ScoreRecord) -> str:
    """Where a record stands on its board, with controls and ceiling beside it, as lines for the terminal."""
    lines = []
    for row in board.rows:
        if row.group == "skipped" or row.headline.mean is None:
            continue
        mark = "->" if row.model == record.model else "  "
        rank = f"{row.kind if row.rank is None else row.rank}{f' {row.mark}' if row.mark else ''}"
        ends = "" if row.headline.low is None else f"  {row.headline.low:.3f} to {row.headline.high:.3f}"
        cut = f"  {CUT}" if row.training.cut else ""
        lines.append(f"{mark} {rank:>8}  {row.title:<44} {row.headline.mean:.3f}{ends}{cut}")
    return "\n".join(lines)


def _titled(found: Detectable | None, titles: Mapping[str, str]) -> Detectable | None:
    return None if found is None else replace(found, best=titles[found.best], second=titles[found.second])


def _refuse_mixed_data(scored: Sequence[ScoreRecord]) -> None:
    """Ranks compare answers to one question: other data, another split or another version is another question."""
    for name in (*SAME_DATA, VERSION):
        told = ({**record.hashes, VERSION: record.protocol_version}.get(name) for record in scored)
        seen = {value: record for value, record in zip(told, scored, strict=True) if value is not None}
        if len(seen) > 1:
            several = len({record.model for record in seen.values()}) < len(seen)
            names = sorted(repr(r.model) + (f" (seed {r.seed})" if several else "") for r in seen.values())
            raise UserError(
                f"{names[0]} and {names[1]} were scored on a different {name}",
                where=f"{scored[0].protocol} {scored[0].board}",
                expected=f"one {name} in a leaderboard",
                remedy="run `dvc repro` to predict and score all models anew",
            )


def _group(record: ScoreRecord, metrics: BoardMetrics, contracts: Contracts | None) -> Group:
    if record.status != "scored":
        return "skipped"
    if record.kind != "model":
        return "reference"
    measured = record.headline.mean is not None and record.values is not None
    left_out = contracts is not None and contracts.leaves_out(record.model)
    return "ranked" if measured and metrics.ranks and not left_out else "unranked"


def _why_unranked(record: ScoreRecord, metrics: BoardMetrics, contracts: Contracts | None) -> str:
    if contracts is not None and contracts.leaves_out(record.model):
        return why_left_out(contracts.of(record.model))
    if record.headline.mean is None:
        return "the headline is undefined"
    return "the headline only describes" if not metrics.ranks else "no value by patient to rank by"


def _row(
    own: Sequence[ScoreRecord],
    metrics: BoardMetrics,
    ranking: Ranking,
    timings: Path | None,
    contracts: Contracts | None,
) -> Row:
    record = own[0]
    group = _group(record, metrics, contracts)
    return Row(
        model=record.model,
        title=title_of(record),
        kind=record.kind,
        group=group,
        rank=ranking.ranks[record.model] if group == "ranked" else None,
        reason=record.reason or (_why_unranked(record, metrics, contracts) if group == "unranked" else ""),
        headline=record.headline,
        summary=record.summary,
        weights=describe_weights(record.weights, kind=record.kind),
        profile=record.profile,
        seed=record.seed,
        device=record.device,
        cost=read_cost(timings, record),
        claims=claims_of(record),
        card=record.card,
        counts=record.counts,
        per_patient=dict(sorted(record.per_patient.items())),
        per_gene=tuple(sorted(record.per_gene, key=lambda row: str(row.get("gene", "")))),
        details=record.details,
        seeds=tuple(sorted((one.seed, one.headline.mean) for one in own if one.status == "scored")),
        behind=ranking.behind.get(record.model),
        error=_finite(standard_error(record.values)) if record.values is not None else None,
        hashes=record.hashes,
        libraries=record.libraries,
        contract=contracts.of(record.model) if contracts else None,
        training=describe_training(own),
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _place(row: Row, sign: int) -> tuple[int, int, int, float, str]:
    mean = row.headline.mean
    return (
        GROUPS.index(row.group),
        row.rank or 0,
        0 if row.kind == "oracle" else 1,
        float("inf") if mean is None else -sign * mean,
        row.model,
    )
