"""Two models on the same boards, patient by patient and gene by gene: which is better, and could it be chance?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from protocols.errors import UserError
from protocols.metric import Metric
from protocols.metrics.bootstrap import PERCENTILES, UNRELIABLE_BELOW, paired_difference
from protocols.records import Interval, ScoreRecord
from reports.direction import direction, sign
from reports.leaderboard import SAME_DATA, title_of
from reports.ranking import paired
from reports.seeds import first_seeds
from reports.tables import MISSING, interval, number, p_value
from reports.titles import titles_by_model

PER_GENE = "pearson"
"""What a record's genes are scored by where they do not hold the headline itself."""


@dataclass(frozen=True)
class GeneComparison:
    """Over the genes that both models have a value of: ``a_better`` + ``b_better`` + ties are ``genes``.

    ``p``: two-sided sign test on the genes that differ (None if none does). Genes are not independent of each other,
    so p describes.
    """

    genes: int
    a_better: int
    b_better: int
    mean_difference: float
    p: float | None


@dataclass(frozen=True)
class Comparison:
    """One board. ``difference`` is the headline of ``a`` minus that of ``b``, with its paired interval.

    ``better`` is the title of the model that is better with an interval that leaves out zero, else empty. ``reason``
    says why there is nothing to compare; ``difference`` then holds no number.
    """

    protocol: str
    board: str
    a: str
    b: str
    metric: Metric
    mean_a: float | None
    mean_b: float | None
    difference: Interval
    better: str
    patients_a_better: int | None
    """Of ``difference.n_patients``; None where the headline is no mean over patients."""
    genes: GeneComparison | None
    reason: str = ""


def compare(
    records_a: Sequence[ScoreRecord], records_b: Sequence[ScoreRecord], *, seed: int = 0
) -> tuple[Comparison, ...]:
    """One comparison for each board that both have a record of; of several training seeds, the run's ``seed`` counts.

    Raises :class:`UserError` if they share no board, or were scored there on other data.
    """
    mine, others = (
        {(record.protocol, record.board): record for record in first_seeds(records, seed)}
        for records in (records_a, records_b)
    )
    shared = [key for key in mine if key in others]
    if not shared:
        raise UserError(
            "no board in common",
            where=" against ".join(sorted({r.model for r in records})[0] if records else "nobody"
                                   for records in (records_a, records_b)),
            expected="two models that are scored on one board",
            remedy="score both on it",
        )  # fmt: skip
    shared.sort(key=lambda key: (mine[key].place, key))
    return tuple(_compared(mine[key], others[key], seed) for key in shared)


def _compared(a: ScoreRecord, b: ScoreRecord, seed: int) -> Comparison:
    _refuse_other_data(a, b)
    metric = a.headline_metric
    reason = next((_unscored(r) for r in (a, b) if _unscored(r)), "")
    found = Interval(None, None, None, 0) if reason else _difference(a, b, seed)
    ahead = _ahead(found, metric)
    names = titles_by_model([a, b])
    return Comparison(
        protocol=a.protocol,
        board=a.board,
        a=names[a.model],
        b=names[b.model],
        metric=metric,
        mean_a=a.headline.mean,
        mean_b=b.headline.mean,
        difference=found,
        better={1: names[a.model], -1: names[b.model], 0: ""}[ahead],
        patients_a_better=None if reason or a.replicates or b.replicates else _wins(a, b, metric),
        genes=None if reason else _genes(a, b, metric),
        reason=reason,
    )


def _refuse_other_data(a: ScoreRecord, b: ScoreRecord) -> None:
    both = {name: (a.hashes.get(name), b.hashes.get(name)) for name in SAME_DATA if a.status == b.status == "scored"}
    both["protocol version"] = (a.protocol_version, b.protocol_version)
    both["headline"] = (a.headline_metric.key, b.headline_metric.key)
    for name, (one, other) in both.items():
        if one != other:
            raise UserError(
                f"{a.model!r} and {b.model!r} were scored on a different {name}",
                where=f"{a.protocol} {a.board}",
                expected="the same question",
                remedy="score both anew",
            )


def _unscored(record: ScoreRecord) -> str:
    if record.status != "scored":
        return f"{title_of(record)} was skipped: {record.reason or 'no reason given'}"
    if record.headline.mean is None:
        return f"the headline of {title_of(record)} is undefined"
    return ""


def _difference(a: ScoreRecord, b: ScoreRecord, seed: int) -> Interval:
    if not (a.replicates or b.replicates):
        return paired_difference(a.per_patient, b.per_patient, seed)
    mean = (a.headline.mean or 0.0) - (b.headline.mean or 0.0)
    patients = min(a.headline.n_patients, b.headline.n_patients)
    if len(a.replicates) != len(b.replicates):  # a resample was undefined for one of them, so nothing is paired
        return Interval(mean, None, None, patients)
    low, high = np.percentile(paired(a.replicates, b.replicates), PERCENTILES)
    return Interval(mean, float(low), float(high), patients)


def _ahead(found: Interval, metric: Metric) -> int:
    """1 if the first model is better, -1 if the second is, 0 where the interval holds zero or is undefined."""
    if found.low is None or found.high is None or metric.higher_is_better is None:
        return 0
    above = int(found.low > 0) - int(found.high < 0)
    return above * int(sign(metric))


def _wins(a: ScoreRecord, b: ScoreRecord, metric: Metric) -> int:
    return sum(metric.better(a.per_patient[p], b.per_patient[p]) for p in a.per_patient.keys() & b.per_patient.keys())


def _genes(a: ScoreRecord, b: ScoreRecord, headline: Metric) -> GeneComparison | None:
    from scipy.stats import binomtest

    key = headline.key if any(headline.key in gene for gene in a.per_gene) else PER_GENE
    turn = sign(headline) if key == headline.key else 1.0  # r is better when it is higher
    mine, others = (_by_gene(record.per_gene, key) for record in (a, b))
    shared = sorted(mine.keys() & others.keys())
    if not shared:
        return None
    differences = np.array([mine[gene] - others[gene] for gene in shared])
    up, down = int((turn * differences > 0).sum()), int((turn * differences < 0).sum())
    p = float(binomtest(up, up + down).pvalue) if up + down else None
    return GeneComparison(len(shared), up, down, float(differences.mean()), p)


def _by_gene(rows: Sequence[Mapping[str, object]], key: str) -> dict[str, float]:
    found = {str(row["gene"]): row.get(key) for row in rows}
    return {gene: float(value) for gene, value in found.items() if isinstance(value, (int, float))}


def comparison_text(found: Sequence[Comparison]) -> str:
    """A table with one line a board, and below it what the columns mean."""
    from tabulate import tabulate

    titles = ["Board", "Metric", "A", "B", "A - B", "95 % CI", "Patients", "Better", "Genes", "Sign test p"]
    lines = [_line(one) for one in found]
    text = [f"A: {found[0].a}", f"B: {found[0].b}", "", tabulate(lines, headers=titles, disable_numparse=True)]
    text += ["", *(f"{one.protocol}, {one.board}: {one.reason}" for one in found if one.reason)]
    text += [f"{title}: {words}." for title, words in {m.metric.title: direction(m.metric) for m in found}.items()]
    text.append(
        "Patients and genes: for how many of them A is better. Genes are not independent, so their p describes."
    )
    fewest = min((one.difference.n_patients for one in found if not one.reason), default=UNRELIABLE_BELOW)
    if fewest < UNRELIABLE_BELOW:
        text.append(f"Intervals from fewer than {UNRELIABLE_BELOW} patients are too narrow to be trusted.")
    return "\n".join(text) + "\n"


def _line(one: Comparison) -> list[str]:
    patients = str(one.difference.n_patients)
    if one.patients_a_better is not None:
        patients = f"{one.patients_a_better} of {patients}"
    genes = one.genes
    return [
        f"{one.protocol}, {one.board}",
        one.metric.title,
        number(one.mean_a),
        number(one.mean_b),
        number(one.difference.mean),
        interval(one.difference),
        MISSING if one.reason else patients,
        MISSING if one.reason else one.better or "not told apart",
        MISSING if genes is None else f"{genes.a_better} of {genes.genes} ({number(genes.mean_difference)})",
        MISSING if genes is None else p_value(genes.p),
    ]
