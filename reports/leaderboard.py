"""From score records to leaderboards: ranks with ties, reference rows, skipped cells, and what must be warned of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from protocols.errors import UserError
from protocols.metric import Metric
from protocols.records import AVERAGE, Interval, ScoreRecord
from reports.claims import Claim, claims_of
from reports.describe import PREDICTIONS_ONLY, Cohort, Weights, describe_cohort, describe_weights
from reports.direction import best_first
from reports.notices import Notice, TaskNotices, collect_notices
from reports.ranking import Detectable, Measured, Ranking, rank
from reports.seeds import SeedScore, by_cell, seed_scores

Group = Literal["ranked", "unranked", "reference", "skipped"]
GROUPS: tuple[Group, ...] = ("ranked", "unranked", "reference", "skipped")
SAME_DATA = ("cohort", "split")
"""Hashes that must agree between the scored cells of one leaderboard."""
VERSION = "protocol version"


@dataclass(frozen=True)
class Row:
    """One cell of the matrix as a leaderboard shows it. Only rows of the group ``ranked`` have a rank.

    All but ``seeds`` is of the record that stands for the cell (:func:`reports.seeds.by_cell`).
    """

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
    seeds: tuple[SeedScore, ...]
    device: str
    claims: tuple[Claim, ...]
    card: dict[str, Any]
    counts: dict[str, int]
    per_patient: dict[str, float]
    per_gene: tuple[dict[str, Any], ...]
    replicates: tuple[float, ...]
    details: dict[str, Any]
    notes: tuple[str, ...]
    hashes: dict[str, str]
    libraries: dict[str, str]


@dataclass(frozen=True)
class Leaderboard:
    """All models' answers to one board of a protocol; ``rows`` are in the order in which they are shown."""

    protocol: str
    board: str
    task: str
    version: str
    title: str
    protocol_title: str
    place: int
    metrics: tuple[Metric, ...]
    """What the rows' numbers are; the headline first."""
    profile: str
    cohort: Cohort
    rows: tuple[Row, ...]
    missing: tuple[str, ...]
    """Models of the run that are not scored here yet."""
    excluded: tuple[tuple[str, str], ...]
    notices: tuple[Notice, ...]
    ties: tuple[tuple[int, tuple[str, ...]], ...]
    """Groups of models (their titles) that share a rank."""
    detectable: Detectable | None

    def group(self, group: Group) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.group == group)

    @property
    def key(self) -> str:
        """Names files and entries."""
        return board_key(self.protocol, self.board)

    @property
    def headline(self) -> Metric:
        return self.metrics[0]

    @property
    def secondary(self) -> tuple[Metric, ...]:
        """The metrics beside the headline that at least one row has been measured by, in the protocol's order."""
        return tuple(m for m in self.metrics[1:] if any(row.summary.get(m.key) is not None for row in self.rows))

    @property
    def several_seeds(self) -> bool:
        return any(len(row.seeds) > 1 for row in self.rows)


def board_key(protocol: str, board: str) -> str:
    return f"{protocol}-{board}"


def pending_of(boards: Sequence[Leaderboard], missing: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """The missing models of boards that have no record at all, and are therefore none of ``boards``."""
    there = {board.key for board in boards}
    return {key: tuple(models) for key, models in sorted(missing.items()) if key not in there and models}


def build_leaderboards(
    records: Sequence[ScoreRecord],
    seed: int,
    *,
    missing: Mapping[str, Sequence[str]] | None = None,
    task_notices: TaskNotices | None = None,
) -> list[Leaderboard]:
    """One leaderboard a protocol and board: by the protocol's place and name, an average ahead of what it averages.

    ``seed`` is the run's own: for the paired bootstrap, and of the record that stands for a cell of several seeds.
    ``missing`` names the models that are not scored yet, by :func:`board_key`; ``task_notices`` what a task says of
    the records of one of its boards.
    """
    found: dict[tuple[str, str], list[list[ScoreRecord]]] = defaultdict(list)
    for (protocol, board, _), own in by_cell(records, seed).items():
        found[protocol, board].append(own)
    boards = [
        _build(cells, seed, tuple((missing or {}).get(board_key(*key), ())), task_notices or {})
        for key, cells in found.items()
    ]
    return sorted(boards, key=lambda one: (one.place, one.protocol, one.board != AVERAGE, one.board))


def _build(
    cells: Sequence[list[ScoreRecord]], seed: int, missing: tuple[str, ...], task_notices: TaskNotices
) -> Leaderboard:
    _refuse_mixed_data([record for own in cells for record in own if record.status == "scored"])
    records = [own[0] for own in cells]
    scored = [record for record in records if record.status == "scored"]
    first = (scored or records)[0]
    metrics = _metrics(records)
    ranking = rank({r.model: _measured(r) for r in scored if _group(r) == "ranked"}, metrics[0], seed=seed)
    rows = sorted((_row(own, ranking) for own in cells), key=lambda row: _place(row, metrics[0]))
    cohort, titles = describe_cohort(first.cohort), {row.model: row.title for row in rows}
    protocol_title = first.protocol_title or first.protocol
    return Leaderboard(
        protocol=first.protocol,
        board=first.board,
        task=first.task,
        version=first.protocol_version,
        title=f"{protocol_title}: {first.board}",
        protocol_title=protocol_title,
        place=first.place,
        metrics=metrics,
        profile=", ".join(sorted({r.profile for r in records} - {PREDICTIONS_ONLY})) or first.profile,
        cohort=cohort,
        rows=tuple(rows),
        missing=missing,
        excluded=tuple(sorted({(e.get("what", ""), e.get("reason", "")) for r in records for e in r.excluded})),
        notices=collect_notices(scored or records, cohort, missing, task_notices),
        ties=tuple((rank, tuple(titles[model] for model in models)) for rank, models in ranking.ties),
        detectable=_titled(ranking.detectable, titles),
    )


def _metrics(records: Sequence[ScoreRecord]) -> tuple[Metric, ...]:
    """The board's metrics; records that were scored under another headline cannot stand in one order."""
    headlines = {(record.headline_metric.key, record.headline_metric.higher_is_better) for record in records}
    if len(headlines) > 1:
        raise UserError(
            f"records with the headlines {' and '.join(sorted(key for key, _ in headlines))}",
            where=f"{records[0].protocol} {records[0].board}",
            expected="one headline, one way better",
            remedy="run `dvc repro` to score all models anew",
        )
    return max((record.typed_metrics for record in records), key=len)


def _titled(found: Detectable | None, titles: Mapping[str, str]) -> Detectable | None:
    return None if found is None else replace(found, best=titles[found.best], second=titles[found.second])


def _refuse_mixed_data(scored: Sequence[ScoreRecord]) -> None:
    """Ranks compare answers to one question: other data, another split or another version is another question."""
    for name in (*SAME_DATA, VERSION):
        seen = {value: r for r in scored if (value := {**r.hashes, VERSION: r.protocol_version}.get(name))}
        if len(seen) > 1:
            one, two, *_ = sorted(f"{r.model!r} (seed {r.seed})" for r in seen.values())
            raise UserError(
                f"{one} and {two} were scored on a different {name}",
                where=f"{scored[0].protocol} {scored[0].board}",
                expected=f"one {name} in a leaderboard",
                remedy="run `dvc repro` to predict and score all models anew",
            )


def _measured(record: ScoreRecord) -> Measured:
    return Measured(record.headline.mean or 0.0, record.per_patient, record.replicates)


def _group(record: ScoreRecord) -> Group:
    if record.status != "scored":
        return "skipped"
    if record.kind != "model":
        return "reference"
    measured = record.headline.mean is not None and bool(record.per_patient or record.replicates)
    return "ranked" if measured and record.headline_metric.higher_is_better is not None else "unranked"


def _why_unranked(record: ScoreRecord) -> str:
    if record.headline_metric.higher_is_better is None:
        return "the headline only describes: no value is better"
    return "the headline is undefined"


def _row(own: Sequence[ScoreRecord], ranking: Ranking) -> Row:
    record = own[0]
    group = _group(record)
    return Row(
        model=record.model,
        title=title_of(record),
        kind=record.kind,
        group=group,
        rank=ranking.ranks[record.model] if group == "ranked" else None,
        reason=record.reason or (_why_unranked(record) if group == "unranked" else ""),
        headline=record.headline,
        summary=record.summary,
        weights=describe_weights(record.weights, kind=record.kind),
        profile=record.profile,
        seed=record.seed,
        seeds=seed_scores(own),
        device=record.device,
        claims=claims_of(record),
        card=record.card,
        counts=record.counts,
        per_patient=dict(sorted(record.per_patient.items())),
        per_gene=tuple(sorted(record.per_gene, key=lambda row: str(row.get("gene", "")))),
        replicates=tuple(record.replicates),
        details=record.details,
        notes=tuple(record.notes),
        hashes=record.hashes,
        libraries=record.libraries,
    )


def title_of(record: ScoreRecord) -> str:
    return str(record.card.get("title") or record.model)


def _place(row: Row, headline: Metric) -> tuple[int, int, int, float, str]:
    return (
        GROUPS.index(row.group),
        row.rank or 0,
        0 if row.kind == "oracle" else 1,
        best_first(headline, row.headline.mean),
        row.model,
    )
