"""Two models on one board, paired: by patient (or by patient resample) and by gene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from protocols.errors import UserError
from protocols.metrics.bootstrap import PERCENTILES, UNRELIABLE_BELOW, paired_difference
from protocols.records import Interval, ScoreRecord
from reports.cells import first_seeds
from reports.leaderboard import SAME_DATA, VERSION
from reports.metrics import BoardMetrics, metrics_of
from reports.tables import interval, number, p_value


@dataclass(frozen=True)
class Comparison:
    """``difference``: A minus B of the headline, with the 95 % interval of the paired difference over patients, the
    one that the board ranks by; ``better``: which is better beyond chance ("A", "B" or "neither").

    ``genes``: how many both have a Pearson r of, in how many of them A's is higher, and in how many B's; ``genes_p`` of
    a sign test over those that differ, which counts genes as if they were independent and so describes. ``reason`` says
    why there is nothing to compare.
    """

    protocol: str
    board: str
    a: str
    b: str
    metric: str
    difference: Interval
    better: str
    genes: int = 0
    genes_a_better: int = 0
    genes_b_better: int = 0
    genes_p: float | None = None
    reason: str = ""


def compare_all(records: Sequence[ScoreRecord], a: str, b: str, *, seed: int) -> list[Comparison]:
    """Two models on every board that has a record of both, in the boards' order; of several training seeds, the run's
    own ``seed`` counts. Raises :class:`UserError` if no board has both."""
    if a == b:
        raise UserError(f"{a!r} twice", where="compare", expected="two models", remedy="name another one")
    found: dict[tuple[int, str, str], dict[str, ScoreRecord]] = {}
    for record in first_seeds(records, seed):
        if record.model in (a, b):
            found.setdefault((record.place, record.protocol, record.board), {})[record.model] = record
    pairs = [own for _, own in sorted(found.items(), key=lambda item: item[0]) if len(own) == 2]
    if not pairs:
        raise UserError(
            f"no board has both {a!r} and {b!r}",
            where="runs/scores",
            expected="two models with a record on one board",
            remedy="see `slide2omics leaderboards`",
        )
    return [compare(own[a], own[b], seed=seed) for own in pairs]


def compare(a: ScoreRecord, b: ScoreRecord, *, seed: int) -> Comparison:
    """Compare two records of one board. Raises :class:`UserError` where they are of different boards or data."""
    if (a.protocol, a.board) != (b.protocol, b.board):
        raise UserError(
            f"{a.model} is of {a.protocol}, {a.board}", where=f"{b.model} of {b.protocol}, {b.board}",
            expected="one board", remedy="compare models of one board",
        )  # fmt: skip
    metrics, reason = metrics_of([a, b]), _unscored(a) or _unscored(b)
    named = (a.protocol, a.board, a.model, b.model, metrics.first.axis)
    if reason:
        return Comparison(*named, Interval(None, None, None, 0), "neither", reason=reason)
    _refuse_other_data(a, b)
    difference = _difference(a, b, seed)
    return Comparison(*named, difference, _better(difference, metrics), *_genes(a, b))


def table(found: Comparison) -> str:
    """A few lines for the terminal."""
    if found.reason:
        return f"  nothing to compare: {found.reason}"
    ahead = {"A": f"{found.a} is better", "B": f"{found.b} is better"}.get(found.better, "not told apart")
    patients = found.difference.n_patients
    lines = [
        f"  {found.metric}, {found.a} minus {found.b}: {number(found.difference.mean)} "
        f"(95 % CI {interval(found.difference)}), {patients} patients: {ahead}"
    ]
    if patients < UNRELIABLE_BELOW:
        lines.append(f"  an interval from fewer than {UNRELIABLE_BELOW} patients is too narrow to be trusted")
    if found.genes:
        p = "" if found.genes_p is None else f" (sign test p {p_value(found.genes_p)}, genes taken as independent)"
        lines.append(
            f"  Pearson r of {found.genes} genes: {found.a} is ahead in {found.genes_a_better}, "
            f"{found.b} in {found.genes_b_better}{p}"
        )
    return "\n".join(lines)


def _unscored(record: ScoreRecord) -> str:
    if record.status != "scored":
        return f"{record.model} was skipped: {record.reason or 'no reason given'}"
    return f"the headline of {record.model} is undefined" if record.headline.mean is None else ""


def _refuse_other_data(a: ScoreRecord, b: ScoreRecord) -> None:
    told = [{**record.hashes, VERSION: record.protocol_version} for record in (a, b)]
    for name in (*SAME_DATA, VERSION):
        if told[0].get(name) != told[1].get(name):
            raise UserError(
                f"{a.model!r} and {b.model!r} were scored on a different {name}",
                where=f"{a.protocol} {a.board}",
                expected="the same question",
                remedy="run `dvc repro` to predict and score both anew",
            )


def _difference(a: ScoreRecord, b: ScoreRecord, seed: int) -> Interval:
    if not (a.replicates or b.replicates):
        return paired_difference(a.per_patient, b.per_patient, seed)
    mean = (a.headline.mean or 0.0) - (b.headline.mean or 0.0)
    patients = min(a.headline.n_patients, b.headline.n_patients)
    if len(a.replicates) != len(b.replicates):  # an undefined resample was dropped: nothing is paired
        return Interval(mean, None, None, patients)
    low, high = np.percentile(np.subtract(a.replicates, b.replicates), PERCENTILES)
    return Interval(mean, float(low), float(high), patients)


def _better(found: Interval, metrics: BoardMetrics) -> str:
    if found.low is None or found.high is None or not metrics.ranks or found.low <= 0 <= found.high:
        return "neither"
    return "A" if (found.low > 0) == (metrics.sign > 0) else "B"


def _genes(a: ScoreRecord, b: ScoreRecord) -> tuple[int, int, int, float | None]:
    from scipy.stats import binomtest

    own = {str(row["gene"]): row.get("pearson") for row in a.per_gene}
    pairs = [(own.get(str(row["gene"])), row.get("pearson")) for row in b.per_gene]
    gaps = [x - y for x, y in pairs if x is not None and y is not None]
    up, down = sum(gap > 0 for gap in gaps), sum(gap < 0 for gap in gaps)
    return len(gaps), up, down, float(binomtest(up, up + down).pvalue) if up + down else None
