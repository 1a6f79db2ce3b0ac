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
from reports.metrics import METRICS, TaskMetrics
from reports.notices import Notice, collect_notices
from reports.ranking import Detectable, Ranking, rank_models, rank_replicates

DIFFICULTY = ("intra_patient", "inter_patient", "cross_cancer")
"""Protocols whose difficulty rises in this order; any other protocol follows by name."""

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
    biology: tuple[dict[str, Any], ...]
    survival: dict[str, Any]
    hashes: dict[str, str]
    libraries: dict[str, str]

    @property
    def curves(self) -> list[dict[str, Any]]:
        """Kaplan-Meier curves of the halves by risk; none off survival, or where every risk is the same."""
        return self.survival.get("curves") or []


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
    def metrics(self) -> TaskMetrics:
        return METRICS[self.task]

    @property
    def secondary(self) -> tuple[str, ...]:
        """The secondary metrics that at least one row has been measured by, in the table's order."""
        known = self.metrics.secondary
        return tuple(key for key in known if any(row.summary.get(key) is not None for row in self.rows))


def find_cells(scores: Path | Sequence[Path]) -> list[Path]:
    """Folders of score records: all ``<scores>/<protocol>/<model>/``, or the given ones.

    Raises :class:`UserError` if there is none.
    """
    if not isinstance(scores, Path):
        return list(scores)
    folders = sorted(path.parent for path in scores.glob(f"*/*/{RECORD_FILE}"))
    if not folders:
        raise UserError(
            "no score records", where=scores, expected="<protocol>/<model>/record.json", remedy="run `dvc repro` first"
        )
    return folders


def load_records(scores: Path | Sequence[Path]) -> list[ScoreRecord]:
    """Every record of :func:`find_cells`, sorted by protocol and model."""
    return [record for record, _ in load_cells(scores)]


def load_cells(scores: Path | Sequence[Path]) -> list[tuple[ScoreRecord, Path]]:
    """Records and the folders that they were read from, sorted by protocol and model.

    Raises :class:`UserError` if a record is unreadable or two are of the same cell (a copied folder, or predictions
    handed in under the name of a model of this run).
    """
    cells: dict[tuple[str, str, str], tuple[ScoreRecord, Path]] = {}
    for folder in find_cells(scores):
        record = ScoreRecord.read(folder)
        key = (record.protocol, record.board, record.model)
        if key in cells:
            raise UserError(
                f"a second record of {' '.join(filter(None, key[:2]))} x {record.model}",
                where=folder,
                expected=f"only the one in {cells[key][1]}",
                remedy="rename or remove one of them",
            )
        cells[key] = (record, folder)
    return [cells[key] for key in sorted(cells)]


def build_leaderboards(records: Sequence[ScoreRecord], seed: int, *, timings: Path | None = None) -> list[Leaderboard]:
    """One leaderboard a protocol and board, in the order of difficulty, an average ahead of what it averages.

    ``seed`` is for the paired bootstrap.
    """
    found: dict[tuple[str, str], list[ScoreRecord]] = defaultdict(list)
    for record in records:
        found[record.protocol, record.board].append(record)
    return [_build(found[key], seed, timings) for key in sorted(found, key=_difficulty)]


def _difficulty(key: tuple[str, str]) -> tuple[int, str, bool, str]:
    protocol, board = key
    place = DIFFICULTY.index(protocol) if protocol in DIFFICULTY else len(DIFFICULTY)
    return (place, protocol, board != AVERAGE, board)


def _build(records: Sequence[ScoreRecord], seed: int, timings: Path | None) -> Leaderboard:
    scored = [record for record in records if record.status == "scored"]
    _refuse_mixed_data(scored)
    first = (scored or list(records))[0]
    measured = [r for r in scored if r.kind == "model" and _is_measured(r)]
    if any(r.replicates for r in measured):
        ranking = rank_replicates({r.model: (r.headline.mean or 0.0, r.replicates) for r in measured})
    else:
        ranking = rank_models({r.model: r.per_patient for r in measured}, seed=seed)
    rows = sorted((_row(record, ranking, timings) for record in records), key=_place)
    cohort, titles = describe_cohort(first.cohort), {row.model: row.title for row in rows}
    return Leaderboard(
        protocol=first.protocol,
        board=first.board,
        task=first.task,
        version=first.protocol_version,
        title=(first.protocol_title or first.protocol) + (f": {first.board}" if first.board else ""),
        profile=", ".join(sorted({r.profile for r in records} - {PREDICTIONS_ONLY})) or first.profile,
        cohort=cohort,
        rows=tuple(rows),
        excluded=tuple(sorted({(e.get("what", ""), e.get("reason", "")) for r in records for e in r.excluded})),
        notices=collect_notices(scored or list(records), cohort),
        ties=tuple((rank, tuple(titles[model] for model in models)) for rank, models in ranking.ties),
        detectable=_titled(ranking.detectable, titles),
    )


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


def _row(record: ScoreRecord, ranking: Ranking, timings: Path | None) -> Row:
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
        biology=tuple(record.biology),
        survival=record.survival,
        hashes=record.hashes,
        libraries=record.libraries,
    )


def _place(row: Row) -> tuple[int, int, int, float, str]:
    mean = row.headline.mean
    return (
        GROUPS.index(row.group),
        row.rank or 0,
        0 if row.kind == "oracle" else 1,
        float("inf") if mean is None else -mean,
        row.model,
    )
