"""Concordance of risks with right-censored follow-up: Harrell's C and Uno's C.

A pair (i, j) is *comparable* if i had the event and j was still followed: ``t_i < t_j``, or ``t_i = t_j`` with j
censored. It is concordant if i has the higher risk; risks within :data:`TIED` of each other, on the scale of
:func:`protocols.metrics.pair_counts.on_scale`, count one half; a pair with a risk that is NaN is discordant. Two events
at the same time are not comparable. These are scikit-survival's rules (``concordance_index_censored``, whose tolerance
is absolute: ``tied_tol=TIED`` here); lifelines treats times alike but has no tolerance: risks are tied only where they
are equal (``tied_tol=0``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.metrics.pair_counts import TIED, Bool, Float, Int, PairCounts, compare_risks, on_scale, pair_counts

__all__ = [
    "TAU_QUANTILE",
    "TIED",
    "Bool",
    "Concordance",
    "Float",
    "FoldOutcome",
    "Int",
    "PairCounts",
    "censoring_survival",
    "harrell",
    "outcome",
    "pair_counts",
    "truncation_time",
    "uno",
    "weighted_concordance",
    "why_uno_is_undefined",
]

TAU_QUANTILE = 0.9
"""Uno's C counts events up to this quantile of training follow-up: at its end 1/G² is in the hundreds."""


@dataclass(frozen=True)
class Concordance:
    """``value`` is None where no pair is comparable. The four counts are those that scikit-survival returns."""

    value: float | None
    concordant: int
    discordant: int
    tied_risk: int
    tied_time: int

    @property
    def comparable(self) -> int:
        return self.concordant + self.discordant + self.tied_risk

    @property
    def tied(self) -> int:
        """``tied_risk``, by its short name."""
        return self.tied_risk


@dataclass(frozen=True)
class FoldOutcome:
    """One fold's test patients: follow-up (months, float64 ``(n,)``), event ``(n,)`` and risk, float64 ``(n,)``."""

    name: str
    time: Float
    event: Bool
    risk: Float


def harrell(time: Float, event: Bool, risk: Float, tied_tol: float | None = None) -> Concordance:
    """Harrell's C in O(n log n): concordant pairs plus half the tied ones, over comparable pairs.

    Harrell et al., JAMA 1982; Harrell et al., Statistics in Medicine 1996. A constant risk scores 0.5.
    """
    counts = pair_counts(time, event, risk, tied_tol)
    comparable, concordant, tied = (int(part.sum()) for part in (counts.comparable, counts.concordant, counts.tied))
    value = (concordant + 0.5 * tied) / comparable if comparable else None
    return Concordance(value, concordant, comparable - concordant - tied, tied, int(counts.tied_time.sum()))


def weighted_concordance(counts: PairCounts, weights: Float) -> float | None:
    """C with each pair weighted by its earlier patient; ``weights`` follow ``counts.row``. None without weight."""
    total = float(np.sum(weights * counts.comparable))
    return float(np.sum(weights * (counts.concordant + 0.5 * counts.tied))) / total if total > 0 else None


def uno(
    train_time: Float, train_event: Bool, time: Float, event: Bool, risk: Float, tau: float | None = None
) -> tuple[float | None, float]:
    """Uno's C: pairs weighted by 1/G² of their earlier patient; and the ``tau`` before which events count.

    G, the probability of being uncensored, is the training fold's (scikit-survival's reverse Kaplan-Meier). ``tau``
    defaults to the :data:`TAU_QUANTILE` of training follow-up, since near its end one event can outweigh all others;
    beyond its end G is unknown, so a later ``tau`` is brought back to it. Events at or after ``tau`` have no weight;
    later patients remain partners of earlier events. The value equals ``concordance_index_ipcw(…, tau=tau)``, in
    O(n log n); None where :func:`why_uno_is_undefined` says so.

    Uno et al., Statistics in Medicine 2011.
    """
    tau = truncation_time(train_time, tau)
    counts = pair_counts(time, event & (time < tau), risk)
    if not counts.comparable.any():
        return None, tau
    weights = censoring_survival(train_time, train_event, np.asarray(time)[counts.row]) ** -2.0
    return weighted_concordance(counts, weights), tau


def truncation_time(train_time: Float, tau: float | None = None) -> float:
    """``tau``, at most the end of training follow-up, up to which G is known and above zero; or the default."""
    if tau is None:
        return float(np.quantile(train_time, TAU_QUANTILE))
    return min(float(tau), float(np.max(train_time)))


def why_uno_is_undefined(time: Float, event: Bool, tau: float) -> str | None:
    """The reason why no pair has a weight, or None: then Uno's C is defined."""
    if not event.any():
        return "no event among the test patients"
    early = event & (time < tau)
    if not early.any():
        return f"no event before tau = {tau:g} months"
    if not pair_counts(time, early, np.zeros(len(time))).comparable.any():
        return f"no comparable pair whose event is before tau = {tau:g} months"
    return None


def censoring_survival(train_time: Float, train_event: Bool, at: Float) -> Float:
    """G(t), the probability of being uncensored beyond t, at times before the end of training follow-up."""
    from sksurv.nonparametric import CensoringDistributionEstimator, SurvivalFunctionEstimator

    if train_event.any():
        fitted = CensoringDistributionEstimator().fit(outcome(train_event, train_time))
    else:  # refused by scikit-survival; then censoring is itself the event, never hidden by another
        fitted = SurvivalFunctionEstimator().fit(outcome(~train_event, train_time))
    return np.asarray(fitted.predict_proba(at), dtype=np.float64)


def outcome(event: Bool, time: Float) -> NDArray[Any]:
    """scikit-survival's structured array of follow-up."""
    from sksurv.util import Surv

    made: NDArray[Any] = Surv.from_arrays(event, time)
    return made


def pairs_of_each(fold: FoldOutcome) -> tuple[Float, Float]:
    """Each patient's comparable pairs, as the earlier and as the later one, and how many of them are concordant."""
    risk = on_scale(fold.risk)
    counts = pair_counts(fold.time, fold.event, risk)
    answered = ~np.isnan(risk)
    comparable, score = _events_before(fold, fold.event)[0].astype(np.float64), np.zeros(len(risk))
    before, order = _events_before(fold, fold.event & answered)
    lower, not_higher = compare_risks(risk[order][::-1], len(order) - before[answered], risk[answered], TIED)
    score[answered] = before[answered] - 0.5 * (lower + not_higher)
    comparable[counts.row] += counts.comparable
    score[counts.row] += counts.concordant + 0.5 * counts.tied
    return comparable, score


def _events_before(fold: FoldOutcome, event: Bool) -> tuple[Int, Int]:
    """How many of these events come before each patient, or at the same time as a censored one; the events in order.

    The former are a prefix of the latter, so a suffix of the reverse.
    """
    order = np.flatnonzero(event)
    order = order[np.argsort(fold.time[order], kind="stable")]
    time = fold.time[order]
    before = np.where(fold.event, np.searchsorted(time, fold.time), np.searchsorted(time, fold.time, side="right"))
    return before, order
