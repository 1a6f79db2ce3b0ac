"""Scores of a probability for an outcome that is there or not, one patient a row.

Throughout ``response`` is bool ``(n,)`` and ``probability`` float64 ``(n,)``, NaN for a patient who was not answered:
such a patient counts as the worst answer there is (a responder below everybody, any other above everybody; 0 and 1
where the number itself counts). Who may be left out is decided where answers are read.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocols.metrics.ranks import average_ranks

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]
BINS = 10
"""Of equal width on [0, 1], the last closed: as the expected calibration error is usually stated."""
CERTAIN = 1e-6
"""Probabilities are brought so far inside (0, 1) before their logit is taken."""
STEPS, SETTLED = 100, 1e-10


def filled(response: Bool, probability: Float, responder: float, other: float) -> Float:
    """Who was not answered, at the worst value of their class."""
    worst = np.where(response, responder, other)
    return np.where(np.isnan(probability), worst, np.asarray(probability, dtype=np.float64))


def ordered(response: Bool, probability: Float) -> Float:
    """Probabilities by which patients are ordered: who was not answered lies outside [0, 1]."""
    return filled(response, probability, -1.0, 2.0)


def stated(response: Bool, probability: Float) -> Float:
    """Probabilities as numbers: who was not answered is told the wrong answer for certain."""
    return filled(response, probability, 0.0, 1.0)


def placements(response: Bool, probability: Float) -> Float:
    """DeLong's structural components ``(n,)``: of a responder the share of the others who are below, of another the
    share of the responders who are above, ties one half; NaN where one of the two classes is empty.

    DeLong, DeLong & Clarke-Pearson, Biometrics 44 (1988), by mid-ranks as in Sun & Xu, IEEE Signal Processing Letters
    21 (2014).
    """
    values = ordered(response, probability)
    m, n = int(response.sum()), int((~response).sum())
    if not m or not n:
        return np.full(len(values), np.nan)
    everybody = average_ranks(values[:, None])[:, 0]
    own = np.empty(len(values))
    for members in (response, ~response):
        own[members] = average_ranks(values[members, None])[:, 0]
    below = everybody - own
    return np.where(response, below / n, 1 - below / m)


def auc(response: Bool, probability: Float) -> float | None:
    """Area under the ROC curve: the share of pairs (a responder, another) in order; None without such a pair."""
    found = placements(response, probability)[response]
    return float(found.mean()) if len(found) and np.isfinite(found).all() else None


def average_precision(response: Bool, probability: Float) -> float | None:
    """``Σ (recall_k - recall_{k-1}) precision_k`` over distinct thresholds, from the highest down, not interpolated
    (Davis & Goadrich, ICML 2006; as scikit-learn's ``average_precision_score``); None without a responder.

    Without insight it is not one half: see :func:`chance_precision`.
    """
    total = int(response.sum())
    if not total:
        return None
    values = ordered(response, probability)
    order = np.argsort(-values, kind="stable")
    last = np.flatnonzero(np.append(np.diff(values[order]) != 0, True))  # the last of each run of ties
    found = np.cumsum(response[order])[last]
    return float(np.sum(np.diff(found, prepend=0) / total * found / (last + 1)))


def chance_precision(response: Bool) -> float | None:
    """What average precision is expected to be where the order is chance: near the prevalence in a large fold, above it
    in a small one (.37 with 9 responders of 30). Bestgen, "Exact expected average precision of the random baseline"
    (2015): precision at the rank ``k`` of a responder is ``(1 + (k - 1)(m - 1)/(n - 1))/k``, every rank as likely.
    """
    n, m = len(response), int(response.sum())
    if not m:
        return None
    ranks = np.arange(1, n + 1)
    return float(np.mean((1 + (ranks - 1) * (m - 1) / max(n - 1, 1)) / ranks))


def brier(response: Bool, probability: Float) -> float:
    """Mean squared difference of probability and outcome (Brier, Monthly Weather Review 78, 1950); 0 is perfect."""
    return float(np.mean((stated(response, probability) - response) ** 2))


@dataclass(frozen=True)
class Recalibration:
    """``slope`` of ``logit P(response) = a + slope * logit p``, 1 if spread rightly, below 1 if too far; ``intercept``
    at slope 1 (calibration in the large), 0 if the mean is right, below 0 if p is too high. None: not defined."""

    intercept: float | None
    slope: float | None


def recalibration(response: Bool, probability: Float) -> Recalibration:
    """Logistic recalibration (Cox, Biometrika 45, 1958; Van Calster et al., J Clin Epidemiol 74, 2016).

    The slope is undefined where all probabilities are one or separate the classes, both where there is one class.
    """
    if response.all() or not response.any():
        return Recalibration(None, None)
    p = np.clip(stated(response, probability), CERTAIN, 1 - CERTAIN)
    x = np.log(p / (1 - p))
    one = np.ones((len(x), 1))
    intercept = _logistic(one, response, x)
    told_apart = x[response].min() >= x[~response].max() or x[response].max() <= x[~response].min()
    line = None if told_apart else _logistic(np.column_stack([one, x]), response, np.zeros(len(x)))
    return Recalibration(None if intercept is None else float(intercept[0]), None if line is None else float(line[1]))


def _logistic(given: Float, response: Bool, offset: Float) -> Float | None:
    """Coefficients of largest likelihood by Newton's steps, halved where they overshoot; None where there are none."""
    beta = np.zeros(given.shape[1])
    before = _deviance(given @ beta + offset, response)
    for _ in range(STEPS):
        p = 1 / (1 + np.exp(-(given @ beta + offset)))
        curvature = given.T @ (given * (p * (1 - p))[:, None])
        if np.linalg.cond(curvature) > 1e14:
            return None
        step = np.linalg.solve(curvature, given.T @ (response - p))
        while np.abs(step).max() > SETTLED and _deviance(given @ (beta + step) + offset, response) > before:
            step = step / 2
        beta = beta + step
        before = _deviance(given @ beta + offset, response)
        if np.abs(step).max() <= SETTLED:
            return beta
    return None


def _deviance(logit: Float, response: Bool) -> float:
    return float(np.sum(np.logaddexp(0, np.where(response, -logit, logit))))


@dataclass(frozen=True)
class Bin:
    """Patients whose probability lies in ``[low, high)`` (the last bin is closed): how many, what they were told on
    average, and what share of them responded."""

    low: float
    high: float
    n: int
    told: float
    responded: float


def reliability(response: Bool, probability: Float, bins: int = BINS) -> tuple[Bin, ...]:
    """The bins of equal width that hold a patient, in order."""
    p = stated(response, probability)
    place = np.minimum((p * bins).astype(np.int64), bins - 1)
    return tuple(
        Bin(k / bins, (k + 1) / bins, int(at.sum()), float(p[at].mean()), float(response[at].mean()))
        for k in range(bins)
        if (at := place == k).any()
    )


def calibration_error(response: Bool, probability: Float, bins: int = BINS) -> float:
    """Expected calibration error: mean over patients of |told - responded| of their bin (Naeini et al., AAAI 2015).

    With few patients a bin it is above 0 by chance, so it compares models on one cohort and says little of one alone.
    """
    found = reliability(response, probability, bins)
    return sum(one.n * abs(one.told - one.responded) for one in found) / sum(one.n for one in found)


def net_benefit(response: Bool, probability: Float, threshold: float) -> float:
    """``TP/n - FP/n * t / (1 - t)`` of treating whoever has a probability of at least ``t`` in (0, 1): true positives
    a patient, less false ones at the odds that the threshold states (Vickers & Elkin, Med Decis Making 26, 2006).

    Treating nobody is 0.
    """
    treated = stated(response, probability) >= threshold
    true, false = float(np.mean(treated & response)), float(np.mean(treated & ~response))
    return true - false * threshold / (1 - threshold)


def treat_all(response: Bool, threshold: float) -> float:
    """Net benefit of treating everybody; 0 at the prevalence."""
    return net_benefit(response, np.ones(len(response)), threshold)
