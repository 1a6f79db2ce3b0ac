"""Curves of survival: Kaplan-Meier by risk group, log-rank, numbers at risk, Brier score and time-dependent AUC.

Whatever is undefined is None, never NaN: a log-rank test without an event while both groups are followed, a Brier
score or an AUC without a grid (no event in training, or no overlap of follow-up) or without a test event. These say
nothing of the model. What a model leaves unanswered (a fold or a patient without curves or risk, NaN) is not left out:
it counts as the worst answer that there is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from protocols.metrics.concordance import Bool, Float, Int, outcome
from protocols.metrics.pair_counts import on_scale

GRID_PERCENTILES = (10, 90)
GRID_POINTS = 15
RISK_TABLE_COLUMNS = 6
LEAST_WITH_BAND = 20
"""Patients of a curve. From here on its band covers the true survival in 94 to 98 of 100 draws at every time; it is too
wide or too narrow by chance of the whole numbers below (92 to 100)."""


@dataclass(frozen=True)
class KaplanMeier:
    """A step curve that starts at (0, 1): survival after each time, with a 95 % log-log band, pointwise.

    It has a point at each event and at the end of follow-up: nothing changes in between. ``low`` and ``high`` are None
    below :data:`LEAST_WITH_BAND` patients.
    """

    time: Float
    survival: Float
    low: Float | None
    high: Float | None
    n: int
    events: int


def kaplan_meier(time: Float, event: Bool) -> KaplanMeier:
    """Kaplan-Meier estimate with Greenwood's variance on the log-log scale (scikit-survival).

    Kaplan and Meier, JASA 1958; Kalbfleisch and Prentice 1980. Before the first event that band is the curve itself,
    and misses every survival below 1: there the lower bound is the binomial one of nobody among those still at risk,
    .025^(1 / at risk) (Clopper and Pearson 1934). At survival zero the band is undefined: it then reaches from zero to
    the upper bound of the step before.
    """
    from sksurv.nonparametric import kaplan_meier_estimator

    months, survival, band = kaplan_meier_estimator(event, time, conf_type="log-log")
    steps = np.diff(survival, prepend=1.0) < 0
    steps[-1] = True
    months, curve, low, high = (
        np.concatenate([[first], part[steps]])
        for first, part in ((0.0, months), (1.0, survival), (1.0, band[0]), (1.0, band[1]))
    )
    if len(time) < LEAST_WITH_BAND:
        return KaplanMeier(months, curve, None, None, len(time), int(event.sum()))
    first = float(time[event].min()) if event.any() else float(time.max())
    low[curve == 1] = 0.025 ** (1 / np.count_nonzero(time >= first))
    if curve[-1] == 0:
        high[-1] = high[-2]
    return KaplanMeier(months, curve, low, high, len(time), int(event.sum()))


def logrank_p(time: Float, event: Bool, group: Int) -> float | None:
    """p of the log-rank test between two groups (Mantel 1966; scikit-survival).

    None where nothing can be compared: one group, no event while both are followed, or all of them at the last time.
    """
    from sksurv.compare import compare_survival

    names = np.unique(group)
    if len(names) != 2:
        return None
    # Once one group is gone nothing is compared; what remains would add nothing but rounding.
    together = min(float(time[group == name].max()) for name in names)
    t, e = np.minimum(time, together), event & (time <= together)
    if not e.any():
        return None
    try:
        p = float(compare_survival(outcome(e, t), group)[1])
    except np.linalg.LinAlgError:  # no variance: everybody who was left had the event
        return None
    return p if np.isfinite(p) else None


def worst_at(time: Float, event: Bool, risk: Float, grid: Float) -> Float:
    """Risks at each time of ``grid``, ``(n, k)``: a NaN is below all others after the event, and above them before."""
    known = risk[~np.isnan(risk)]
    low, high = (known.min() - 1, known.max() + 1) if len(known) else (0.0, 1.0)
    after = event[:, None] & (time[:, None] <= grid)
    return np.where(np.isnan(risk)[:, None], np.where(after, low, high), risk[:, None])


def high_risk(risk: Float) -> Bool:
    """Patients above the median risk of those given. All False if every risk is the same: there are no groups then.

    NaN, an answer that is not there, is below every median: see :func:`placed_worst`.
    """
    known = risk[~np.isnan(risk)]
    return np.asarray(risk > np.median(known)) if len(known) else np.zeros(len(risk), dtype=bool)


def placed_worst(high: Bool, event: Bool, risk: Float) -> Bool:
    """The groups with every patient without an answer (NaN) in the wrong one: low with the event, high without."""
    return np.where(np.isnan(risk), ~event, high)


def high_risk_by_fold(risks: Sequence[Float]) -> Bool:
    """Above the median of one's own fold: risks of different folds' models have no common scale."""
    return np.concatenate([high_risk(risk) for risk in risks])


def high_risk_pooled(risks: Sequence[Float]) -> Bool:
    """The variant that treats all folds' risks as one scale: above the median of all."""
    return high_risk(np.concatenate(risks))


def at_risk(time: Float, columns: Float) -> Int:
    """Patients still followed just before each of ``columns`` (months)."""
    return np.asarray((time[None, :] >= columns[:, None]).sum(axis=1), dtype=np.int64)


def risk_table_times(time: Float) -> Float:
    """Round times from 0 to about the 95th percentile of follow-up."""
    step = np.percentile(time, 95) / (RISK_TABLE_COLUMNS - 1)
    nice = np.array([1, 2, 3, 6, 12, 24, 36, 60, 120])
    chosen = nice[np.argmin(np.abs(nice - step))]
    return np.asarray(chosen * np.arange(RISK_TABLE_COLUMNS), dtype=np.float64)


def evaluation_grid(train_time: Float, train_event: Bool, time: Float) -> Float | None:
    """Times at which Brier score and AUC are taken: the 10th to 90th percentile of training event times.

    Kept inside the test fold's follow-up and below the end of the training fold's; None if nothing is left.
    """
    if not train_event.any():
        return None
    low, high = np.percentile(train_time[train_event], GRID_PERCENTILES)
    low, high = max(low, float(time.min())), min(high, float(time.max()), float(train_time.max()))
    if not high - low > 1e-6 * high:  # too narrow for distinct times
        return None
    return np.linspace(low, high, GRID_POINTS + 2)[1:-1]


def step_at(times: Float, survival: Float, grid: Float) -> Float:
    """Survival ``(n, len(grid))`` of right-continuous steps: 1 before ``times`` begin, constant after their end."""
    at = np.searchsorted(times, grid, side="right")
    padded = np.concatenate([np.ones((len(survival), 1)), survival], axis=1)
    return np.asarray(padded[:, at])


def truncated(time: Float, event: Bool, tau: float) -> tuple[Float, Bool]:
    """Follow-up ended at ``tau``: who lives past it is censored there. Beyond training follow-up no weight is known."""
    return np.minimum(time, tau), event & (time < tau)


def integrated_brier(
    train_time: Float, train_event: Bool, time: Float, event: Bool, times: Float | None, survival: Float | None
) -> float | None:
    """Integrated Brier score over :func:`evaluation_grid` (Graf et al., Statistics in Medicine 1999).

    A patient without a curve (a row with NaN; everybody, without ``survival``) counts as surely wrong at every time:
    alive (1) after the event, dead (0) while still followed.
    """
    from sksurv.metrics import integrated_brier_score

    grid = evaluation_grid(train_time, train_event, time)
    if grid is None:
        return None
    t, e = truncated(time, event, np.nextafter(train_time.max(), 0))
    if not e.any():
        return None
    worst = (event[:, None] & (time[:, None] <= grid)).astype(np.float64)
    answer = worst
    if times is not None and survival is not None:
        refused = np.isnan(survival).any(axis=1, keepdims=True)
        answer = np.where(refused, worst, step_at(times, survival, grid))
    value = integrated_brier_score(outcome(train_event, train_time), outcome(e, t), answer, grid)
    return float(value) if np.isfinite(value) else None


def mean_auc(train_time: Float, train_event: Bool, time: Float, event: Bool, risk: Float) -> float | None:
    """Cumulative/dynamic AUC averaged over :func:`evaluation_grid` (Uno et al., JASA 2007; scikit-survival).

    Its ties have the tolerance of the C-index, and so its scale (:func:`protocols.metrics.pair_counts.on_scale`).
    A patient without an answer (NaN) has the lowest risk once the event is there, and the highest before.
    """
    from sksurv.metrics import cumulative_dynamic_auc

    grid = evaluation_grid(train_time, train_event, time)
    if grid is None:
        return None
    t, e = truncated(time, event, np.nextafter(train_time.max(), 0))
    # At each time both kinds must be there: patients with the event so far, and patients still followed.
    grid = np.array([at for at in grid if np.any(e & (t <= at)) and np.any(t > at)])
    if not len(grid):
        return None
    scored = worst_at(time, event, on_scale(risk), grid) if np.isnan(risk).any() else on_scale(risk)
    value = cumulative_dynamic_auc(outcome(train_event, train_time), outcome(e, t), scored, grid)[1]
    return float(value) if np.isfinite(value) else None
