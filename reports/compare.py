"""Two models on one board, paired: by patient and by gene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from protocols.errors import UserError
from protocols.metrics.intervals import LEAST_PATIENTS, MEAN_LEVEL, t_quantile
from protocols.metrics.pairwise import LEVEL, TELLING, Pair
from protocols.metrics.pairwise import compare_all as compare_pairs
from protocols.records import Interval, ScoreRecord
from reports.cells import first_seeds
from reports.leaderboard import SAME_DATA, VERSION
from reports.metrics import BoardMetrics, metrics_of
from reports.schedule import SMOKE, describe_training
from reports.tables import interval, number, p_value


@dataclass(frozen=True)
class Comparison:
    """``difference``: A minus B of the headline, with the 95 % t interval of the paired difference over patients;
    ``p`` by sign flips of these two models alone, ``effect`` in standard deviations of patients' differences;
    ``better``: which is better beyond chance ("A", "B" or "neither"). The board's ranks take all pairs together, so
    they tell fewer models apart.

    ``genes``: how many both have a Pearson r of, in how many of them A's is higher, and in how many B's; ``genes_p`` of
    a sign test over those that differ, which counts genes as if they were independent and so describes. ``reason`` says
    why there is nothing to compare; ``caveats``, why the difference is no verdict on a method.
    """

    protocol: str
    board: str
    a: str
    b: str
    metric: str
    difference: Interval
    better: str
    p: float | None = None
    effect: float | None = None
    genes: int = 0
    genes_a_better: int = 0
    genes_b_better: int = 0
    genes_p: float | None = None
    reason: str = ""
    caveats: tuple[str, ...] = ()


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
    difference, pair = _pair(a, b, seed)
    p, effect = (None, None) if pair is None else (pair.p, pair.effect)
    return Comparison(*named, difference, _better(pair, metrics), p, effect, *_genes(a, b), caveats=_caveats(a, b))


def table(found: Comparison) -> str:
    """A few lines for the terminal."""
    if found.reason:
        return f"  nothing to compare: {found.reason}"
    word = "scores better here" if found.caveats else "is better"
    ahead = {"A": f"{found.a} {word}", "B": f"{found.b} {word}"}.get(found.better, "not told apart")
    patients = found.difference.n_patients
    lines = [
        f"  {found.metric}, {found.a} minus {found.b}: {number(found.difference.mean)} "
        f"(95 % CI {interval(found.difference)}, p {p_value(found.p)}), {patients} patients: {ahead}",
        "  p is of these two alone; ranks take all pairs of the board together",
        *(f"  {caveat}" for caveat in found.caveats),
    ]
    if patients < TELLING:
        lines.append(f"  fewer than {TELLING} patients can tell no two models apart")
    if found.genes:
        p = "" if found.genes_p is None else f" (sign test p {p_value(found.genes_p)}, genes taken as independent)"
        lines.append(
            f"  Pearson r of {found.genes} genes: {found.a} is ahead in {found.genes_a_better}, "
            f"{found.b} in {found.genes_b_better}{p}"
        )
    return "\n".join(lines)


def _caveats(a: ScoreRecord, b: ScoreRecord) -> tuple[str, ...]:
    """What keeps a difference from being a verdict on a method: a training that our cap ended."""
    lines = []
    for record in (a, b):
        training = describe_training([record])
        if training.most_steps:
            lines.append(f"{record.model}: a {SMOKE} and no result (most_steps {training.most_steps})")
        elif training.cut:
            lines.append(f"{record.model}: {training.text}; the difference is no verdict on the method")
    return tuple(lines)


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


def _pair(a: ScoreRecord, b: ScoreRecord, seed: int) -> tuple[Interval, Pair | None]:
    """The difference with its t interval, and the pair by itself, over the patients that both have."""
    of_a, of_b = a.values, b.values
    if of_a is None or of_b is None or not set(of_a.patient) & set(of_b.patient):
        return Interval(None, None, None, 0, "no patient has a value by both"), None
    (pair,) = compare_pairs({"a": of_a, "b": of_b}, seed).pairs
    if pair.n < LEAST_PATIENTS:
        return Interval(pair.difference, None, None, pair.n, f"{pair.n} of {LEAST_PATIENTS} patients"), pair
    half = t_quantile(MEAN_LEVEL, pair.n - 1) * pair.error
    return Interval(pair.difference, pair.difference - half, pair.difference + half, pair.n), pair


def _better(found: Pair | None, metrics: BoardMetrics) -> str:
    if found is None or found.p > LEVEL or not metrics.ranks:
        return "neither"
    return "A" if (found.difference > 0) == (metrics.sign > 0) else "B"


def _genes(a: ScoreRecord, b: ScoreRecord) -> tuple[int, int, int, float | None]:
    from scipy.stats import binomtest

    own = {str(row["gene"]): row.get("pearson") for row in a.per_gene}
    pairs = [(own.get(str(row["gene"])), row.get("pearson")) for row in b.per_gene]
    gaps = [x - y for x, y in pairs if x is not None and y is not None]
    up, down = sum(gap > 0 for gap in gaps), sum(gap < 0 for gap in gaps)
    return len(gaps), up, down, float(binomtest(up, up + down).pvalue) if up + down else None
