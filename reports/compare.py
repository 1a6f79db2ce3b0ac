"""Two models on one board, paired: by patient (or by patient resample) and by gene."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocols.errors import UserError
from protocols.records import ScoreRecord
from protocols.seeds import generator
from reports.metrics import metrics_of

Float = NDArray[np.float64]
RESAMPLES = 2000
PERCENTILES = (2.5, 97.5)


@dataclass(frozen=True)
class Comparison:
    """``difference``: A minus B of the headline, with the 95 % interval of the paired difference over patients;
    ``better``: which is better beyond chance ("A", "B" or "neither"). ``genes``: how many both have, in how many A is
    better, and the p of a sign test, which counts genes as if they were independent and so describes."""

    a: str
    b: str
    metric: str
    difference: float | None
    low: float | None
    high: float | None
    better: str
    patients: int
    genes: int
    genes_a_better: int
    genes_p: float | None


def compare(a: ScoreRecord, b: ScoreRecord, *, seed: int) -> Comparison:
    """Compare two scored records of one board. Raises :class:`UserError` where they are of different boards or data."""
    if (a.protocol, a.board) != (b.protocol, b.board):
        raise UserError(
            f"{a.model} is of {a.protocol}, {a.board}", where=f"{b.model} of {b.protocol}, {b.board}",
            expected="one board", remedy="compare models of one board",
        )  # fmt: skip
    metrics = metrics_of([a, b])
    difference, replicates, patients = _paired(a, b, seed)
    low, high = (
        (float(value) for value in np.percentile(replicates, PERCENTILES)) if len(replicates) > 1 else (None, None)
    )
    better = "neither"
    if low is not None and high is not None and (low > 0 or high < 0):
        better = "A" if (low > 0) == (metrics.sign > 0) else "B"
    genes, wins, p = _genes(a, b)
    return Comparison(a.model, b.model, metrics.headline, difference, low, high, better, patients, genes, wins, p)


def table(found: Comparison) -> str:
    """A few lines for the terminal."""
    interval = "" if found.low is None else f" [{found.low:.3f}, {found.high:.3f}]"
    difference = "undefined" if found.difference is None else f"{found.difference:+.3f}{interval}"
    verdict = {"A": f"{found.a} is better", "B": f"{found.b} is better"}.get(found.better, "not told apart")
    lines = [f"  {found.metric}, {found.a} minus {found.b}: {difference}, {found.patients} patients: {verdict}"]
    if found.genes:
        p = "" if found.genes_p is None else f" (sign test p {found.genes_p:.2g}, genes taken as independent)"
        lines.append(f"  genes: {found.a} is ahead in {found.genes_a_better} of {found.genes}{p}")
    return "\n".join(lines)


def _paired(a: ScoreRecord, b: ScoreRecord, seed: int) -> tuple[float | None, Float, int]:
    both = sorted(a.per_patient.keys() & b.per_patient.keys())
    if both:
        values = np.array([a.per_patient[patient] - b.per_patient[patient] for patient in both])
        draws = generator(seed, "compare").integers(0, len(both), (RESAMPLES, len(both)))
        return float(values.mean()), values[draws].mean(axis=1), len(both)
    mean = None if a.headline.mean is None or b.headline.mean is None else a.headline.mean - b.headline.mean
    if len(a.replicates) != len(b.replicates):  # an undefined resample was dropped: nothing is paired
        return mean, np.zeros(0), a.headline.n_patients
    return mean, np.subtract(a.replicates, b.replicates), a.headline.n_patients


def _genes(a: ScoreRecord, b: ScoreRecord) -> tuple[int, int, float | None]:
    own = {str(row["gene"]): row.get("pearson") for row in a.per_gene}
    pairs = [(own[str(row["gene"])], row.get("pearson")) for row in b.per_gene if str(row["gene"]) in own]
    gaps = [x - y for x, y in pairs if x is not None and y is not None and x != y]
    if not gaps:
        return 0, 0, None
    from scipy.stats import binomtest

    wins = sum(gap > 0 for gap in gaps)
    return len(gaps), wins, float(binomtest(wins, len(gaps)).pvalue)
