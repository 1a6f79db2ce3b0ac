"""From score records to leaderboards: ranks with ties, reference rows, skipped cells, and what must be warned of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from protocols.errors import UserError
from protocols.records import AVERAGE, RECORD_FILE, Interval, ScoreRecord
from reports.claims import Claim, claims_of
from reports.describe import PREDICTIONS_ONLY, Cohort, Cost, Weights, describe_cohort, describe_weights, read_cost
from reports.metrics import BoardMetrics, metrics_of
from reports.notices import Notice, TaskNotices, collect_notices
from reports.ranking import Detectable, Ranking, rank_models, rank_replicates

Group = Literal["ranked", "unranked", "reference", "skipped"]
GROUPS: tuple[Group, ...] = ("ranked", "unranked", "reference", "skipped")
SAME_DATA = ("cohort", "split")
"""Hashes that must agree between the scored cells of one leaderboard."""


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
    """Training seeds and the headline of each; the row itself is the first seed's."""
    hashes: dict[str, str]
    libraries: dict[str, str]

    @property
    def curves(self) -> list[dict[str, Any]]:
        """Kaplan-Meier curves of the halves by risk; none off survival, or where every risk is the same."""
        return self.details.get("curves") or []

    @property
    def spread(self) -> tuple[float, float] | None:
        """Mean and standard deviation of the headline over training seeds; None with fewer than two."""
        known = [value for _, value in self.seeds if value is not None]
        if len(known) < 2:
            return None
        mean = sum(known) / len(known)
        return mean, (sum((value - mean) ** 2 for value in known) / (len(known) - 1)) ** 0.5


@dataclass(frozen=True)
class Leaderboard:
    """All models' answers to one protocol, or to one board of it; ``rows`` are in the order in which they are shown."""

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
    excluded: tuple[tuple[str, str], ...]
    notices: tuple[Notice, ...]
    ties: tuple[tuple[int, tuple[str, ...]], ...]
    """Groups of models (their titles) that share a rank."""
    detectable: Detectable | None

    def group(self, group: Group) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.group == group)

    @property
    def key(self) -> str:
        """The protocol, and behind it the board where there are several; names files and entries."""
        return f"{self.protocol}-{self.board}" if self.board else self.protocol

    @property
    def secondary(self) -> tuple[str, ...]:
        """The secondary metrics that at least one row has been measured by, in the table's order."""
        known = self.metrics.secondary
        return tuple(key for key in known if any(row.summary.get(key) is not None for row in self.rows))


def find_cells(scores: Path | Sequence[Path]) -> list[Path]:
    """Folders of score records: all below a folder, or the given ones."""
    if not isinstance(scores, Path):
        return list(scores)
    return sorted(path.parent for path in scores.rglob(RECORD_FILE))


def load_records(scores: Path | Sequence[Path]) -> list[ScoreRecord]:
    """Every record of :func:`find_cells`, sorted by protocol and model."""
    return [record for record, _ in load_cells(scores)]


def load_cells(scores: Path | Sequence[Path]) -> list[tuple[ScoreRecord, Path]]:
    """Records and the folders that they were read from, sorted by protocol and model.

    Raises :class:`UserError` if a record is unreadable or two are of the same cell (a copied folder, or predictions
    handed in under the name of a model of this run).
    """
    cells: dict[tuple[str, str, str, int], tuple[ScoreRecord, Path]] = {}
    for folder in find_cells(scores):
        record = ScoreRecord.read(folder)
        key = (record.protocol, record.board, record.model, record.seed)
        if key in cells:
            raise UserError(
                f"a second record of {' '.join(filter(None, key[:2]))} x {record.model}",
                where=folder,
                expected=f"only the one in {cells[key][1]}",
                remedy="rename or remove one of them",
            )
        cells[key] = (record, folder)
    return [cells[key] for key in sorted(cells)]


def build_leaderboards(
    records: Sequence[ScoreRecord],
    seed: int,
    *,
    timings: Path | None = None,
    missing: Mapping[str, Sequence[str]] | None = None,
    task_notices: Mapping[str, TaskNotices] | None = None,
) -> list[Leaderboard]:
    """One leaderboard a board, protocols in their own order, an average ahead of what it averages.

    ``seed``: the run's first, of the paired bootstrap and of the rows that are shown; ``missing``: board key to the
    listed models that have no record yet; ``task_notices``: what each task has to say of a board's records.
    """
    found: dict[tuple[str, str], list[ScoreRecord]] = defaultdict(list)
    for record in records:
        found[record.protocol, record.board].append(record)
    return [
        _build(
            found[key],
            seed,
            timings,
            (missing or {}).get("-".join(key), ()),
            (task_notices or {}).get(found[key][0].task),
        )
        for key in sorted(found, key=lambda key: _order(key, found[key][0]))
    ]


def _order(key: tuple[str, str], record: ScoreRecord) -> tuple[int, str, bool, str]:
    protocol, board = key
    return (record.place, protocol, board != AVERAGE, board)


def _build(
    records: Sequence[ScoreRecord],
    seed: int,
    timings: Path | None,
    missing: Sequence[str],
    of_task: TaskNotices | None,
) -> Leaderboard:
    firsts = _first_seeds(records, seed)
    scored = [record for record in firsts if record.status == "scored"]
    _refuse_mixed_data(scored)
    first, metrics = (scored or firsts)[0], metrics_of(records)
    measured = [r for r in scored if r.kind == "model" and _is_measured(r)]
    if any(r.replicates for r in measured):
        ranking = rank_replicates(
            {r.model: (r.headline.mean or 0.0, r.replicates) for r in measured}, sign=metrics.sign
        )
    else:
        ranking = rank_models({r.model: r.per_patient for r in measured}, seed=seed, sign=metrics.sign)
    seeds = {record.model: _seeds(records, record.model) for record in firsts}
    made = (_row(record, ranking, timings, seeds[record.model]) for record in firsts)
    rows = sorted(made, key=lambda row: _place(row, metrics.sign))
    cohort, titles = describe_cohort(first.cohort), {row.model: row.title for row in rows}
    return Leaderboard(
        protocol=first.protocol,
        board=first.board,
        task=first.task,
        version=first.protocol_version,
        title=(first.protocol_title or first.protocol) + (f": {first.board}" if first.board else ""),
        profile=", ".join(sorted({r.profile for r in records} - {PREDICTIONS_ONLY})) or first.profile,
        cohort=cohort,
        metrics=metrics,
        place=first.place,
        rows=tuple(rows),
        excluded=tuple(sorted({(e.get("what", ""), e.get("reason", "")) for r in records for e in r.excluded})),
        notices=collect_notices(scored or list(firsts), cohort, missing=missing, of_task=of_task),
        ties=tuple((rank, tuple(titles[model] for model in models)) for rank, models in ranking.ties),
        detectable=_titled(ranking.detectable, titles),
    )


def _first_seeds(records: Sequence[ScoreRecord], seed: int) -> list[ScoreRecord]:
    """One record a model, in order: that of ``seed``, which the run lists first, or of the least that is there."""
    found: dict[str, ScoreRecord] = {}
    for record in sorted(records, key=lambda record: (record.seed != seed, record.seed)):
        found.setdefault(record.model, record)
    return [record for record in records if found[record.model] is record]


def _seeds(records: Sequence[ScoreRecord], model: str) -> tuple[tuple[int, float | None], ...]:
    return tuple(sorted((r.seed, r.headline.mean) for r in records if r.model == model and r.status == "scored"))


def placed(board: Leaderboard, record: ScoreRecord) -> str:
    """Where a record stands on its board, with controls and ceiling beside it, as lines for the terminal."""
    lines = []
    for row in board.rows:
        if row.group == "skipped" or row.headline.mean is None:
            continue
        mark = "->" if row.model == record.model else "  "
        rank = str(row.rank) if row.rank is not None else row.kind
        ends = "" if row.headline.low is None else f"  {row.headline.low:.3f} to {row.headline.high:.3f}"
        lines.append(f"{mark} {rank:>8}  {row.title:<44} {row.headline.mean:.3f}{ends}")
    return "\n".join(lines)


def _titled(found: Detectable | None, titles: Mapping[str, str]) -> Detectable | None:
    return None if found is None else replace(found, best=titles[found.best], second=titles[found.second])


def _refuse_mixed_data(scored: Sequence[ScoreRecord]) -> None:
    """Ranks compare answers to one question: other data or another split is another question."""
    for name in SAME_DATA:
        seen: Mapping[str, str] = {r.hashes[name]: r.model for r in scored if name in r.hashes}
        if len(seen) > 1:
            one, two, *_ = sorted(seen.values())
            raise UserError(
                f"{one!r} and {two!r} were scored on a different {name}",
                where=" ".join(filter(None, (scored[0].protocol, scored[0].board))),
                expected=f"one {name} hash in a leaderboard",
                remedy="run `dvc repro` to predict and score all models anew",
            )


def _is_measured(record: ScoreRecord) -> bool:
    return record.headline.mean is not None and bool(record.per_patient or record.replicates)


def _group(record: ScoreRecord) -> Group:
    if record.status != "scored":
        return "skipped"
    if record.kind != "model":
        return "reference"
    return "ranked" if _is_measured(record) else "unranked"


def _row(
    record: ScoreRecord, ranking: Ranking, timings: Path | None, seeds: tuple[tuple[int, float | None], ...]
) -> Row:
    group = _group(record)
    reason = record.reason or ("the headline is undefined" if group == "unranked" else "")
    return Row(
        model=record.model,
        title=str(record.card.get("title") or record.model),
        kind=record.kind,
        group=group,
        rank=ranking.ranks[record.model] if group == "ranked" else None,
        reason=reason,
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
        seeds=seeds,
        hashes=record.hashes,
        libraries=record.libraries,
    )


def _place(row: Row, sign: int) -> tuple[int, int, int, float, str]:
    mean = row.headline.mean
    return (
        GROUPS.index(row.group),
        row.rank or 0,
        0 if row.kind == "oracle" else 1,
        float("inf") if mean is None else -sign * mean,
        row.model,
    )
