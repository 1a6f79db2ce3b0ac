"""Counting comparable pairs of patients with right-censored follow-up, in O(n log n).

Which pairs are comparable, and which risks are tied, is said in :mod:`protocols.metrics.concordance`. A risk that is
NaN is one that was not answered: every comparable pair of such a patient counts as discordant. Who may leave a patient
out is decided where answers are read; a model of the pipeline may not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from protocols.errors import UserError

TIED = 1e-8
"""Risks that are no further apart are tied, as in scikit-survival and so in MCAT's published C-indices.

The tolerance is absolute there, so that risks times 1e-10 are all tied. Here it holds on the scale of :func:`on_scale`.
"""

NOISE = 8 * float(np.finfo(np.float64).eps)
"""A spread below this share of the risks is rounding, as in :mod:`protocols.metrics.correlation`."""

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]
Int = NDArray[np.int64]


@dataclass(frozen=True)
class PairCounts:
    """Per patient with an event (``row`` of the arrays given): how the comparable partners compare, int64 ``(e,)``.

    ``tied_time`` of the comparable partners are censored at the very time of the event.
    """

    row: Int
    comparable: Int
    concordant: Int
    tied: Int
    tied_time: Int


def on_scale(risk: Float) -> Float:
    """Risks on the scale on which ties are told: where they spread over less than 1, they are spread over 0 to 1.

    So no factor below 1 turns an order into ties. At a spread of 1 or more they stay as they are, which is the rule of
    scikit-survival to the last bit, and so they do where the spread is rounding of one value. NaN stays NaN.
    """
    risk = np.asarray(risk, dtype=np.float64)
    known = risk[np.isfinite(risk)]
    if not len(known):
        return risk
    low, high = float(known.min()), float(known.max())
    with np.errstate(over="ignore"):
        spread = high - low
    return (risk - low) / spread if NOISE * max(abs(low), abs(high)) < spread < 1 else risk


def pair_counts(time: Float, event: Bool, risk: Float, tied_tol: float | None = None) -> PairCounts:
    """Count every event's comparable, concordant and tied partners; no pair of a NaN risk is concordant or tied.

    Ties are told to :data:`TIED` on the scale of :func:`on_scale`, or to an absolute ``tied_tol`` on risks as they are:
    ``TIED`` is scikit-survival's rule, 0 lifelines'.
    """
    time, event, risk = checked(time, event, risk)
    risk, tied_tol = (on_scale(risk), TIED) if tied_tol is None else (risk, tied_tol)
    answered = ~np.isnan(risk)
    if answered.all():
        return _counted(time, event, risk, tied_tol)
    every = _counted(time, event, np.zeros(len(risk)), tied_tol)
    found = _counted(time[answered], event[answered], risk[answered], tied_tol)
    concordant, tied = np.zeros(len(risk), dtype=np.int64), np.zeros(len(risk), dtype=np.int64)
    row = np.flatnonzero(answered)[found.row]
    concordant[row], tied[row] = found.concordant, found.tied
    return replace(every, concordant=concordant[every.row], tied=tied[every.row])


def _counted(time: Float, event: Bool, risk: Float, tied_tol: float) -> PairCounts:
    """Patients are put in order of time, events before censored ones; an event's partners are then all patients from
    the end of its group of tied events on, and those with a lower risk are counted by :func:`_count_below`.
    """
    order = np.lexsort((~event, time))
    t, e, r = time[order], event[order], risk[order]
    rows = np.flatnonzero(e)
    # First position behind the events at the same time: the number of patients who come earlier or are tied events.
    start = np.searchsorted(t, t[rows], side="left") + _tied_events(t, e)[rows]
    strictly_later = len(t) - np.searchsorted(t, t[rows], side="right")
    lower, not_higher = compare_risks(r, start, r[rows], tied_tol)
    comparable = len(t) - start
    return PairCounts(order[rows], comparable, lower, not_higher - lower, comparable - strictly_later)


def checked(time: Float, event: Bool, risk: Float) -> tuple[Float, Bool, Float]:
    time, risk = np.asarray(time, dtype=np.float64), np.asarray(risk, dtype=np.float64)
    event = np.asarray(event)
    if time.ndim != 1 or not (time.shape == event.shape == risk.shape) or event.dtype != np.bool_:
        raise UserError(
            f"times {time.shape}, {event.dtype} events {event.shape} and risks {risk.shape} do not match",
            where="concordance",
            expected="one number, one True or False and one risk a patient",
            remedy="mend the table",
        )
    for name, wrong, what in (("time", ~np.isfinite(time), "NaN or infinite"), ("risk", np.isinf(risk), "infinite")):
        if wrong.any():
            raise UserError(
                f"a {name} is {what}",
                where="concordance",
                expected="finite numbers",
                remedy=f"mend the {name}s",
            )
    return time, event, risk


def _tied_events(time: Float, event: Bool) -> Int:
    """For each patient (sorted by time), how many events happen at the same time."""
    _, group = np.unique(time, return_inverse=True)
    return np.asarray(np.bincount(group, weights=event).astype(np.int64)[group])


def compare_risks(values: Float, start: Int, risk: Float, tied_tol: float) -> tuple[Int, Int]:
    """For each query (``start``, ``risk``): how many of ``values[start:]`` are lower, and how many lower or tied."""
    low, high = _tied_range(np.sort(values), risk, tied_tol)
    both = _count_below(values, np.concatenate([start, start]), np.concatenate([low, high]))
    return both[: len(start)], both[len(start) :]


def _tied_range(ranked: Float, risk: Float, tied_tol: float) -> tuple[Int, Int]:
    """Where in ``ranked`` the values tied with each risk begin and end."""
    values, first = np.unique(ranked, return_index=True)
    if not len(values):
        return np.zeros(len(risk), dtype=np.int64), np.zeros(len(risk), dtype=np.int64)
    low = np.searchsorted(values, risk - tied_tol, side="left")
    high = np.searchsorted(values, risk + tied_tol, side="right")
    # scikit-survival rounds the difference of two risks, not their sum with the tolerance: mend the last digit. Apart
    # from the rounding the ends are right already, so that each loop ends after a step or two.
    last = len(values) - 1
    with np.errstate(over="ignore"):
        while (move := (low > 0) & (risk - values[np.maximum(low - 1, 0)] <= tied_tol)).any():
            low = low - move
        while (move := (low <= last) & (risk - values[np.minimum(low, last)] > tied_tol)).any():
            low = low + move
        while (move := (high <= last) & (values[np.minimum(high, last)] - risk <= tied_tol)).any():
            high = high + move
        while (move := (high > 0) & (values[np.maximum(high - 1, 0)] - risk > tied_tol)).any():
            high = high - move
    ends = np.append(first, len(ranked))
    return ends[low], ends[high]


def _count_below(values: Float, start: Int, threshold: Int) -> Int:
    """For each query: how many of ``values[start:]`` are among the ``threshold`` smallest values.

    A wavelet matrix over the values' ranks: one pass a bit of the rank, all queries together.
    """
    n = len(values)
    rank = np.empty(n, dtype=np.int64)
    rank[np.argsort(values, kind="stable")] = np.arange(n)
    left, right, count = start.copy(), np.full(len(start), n), np.zeros(len(start), dtype=np.int64)
    for bit in reversed(range(max(1, n.bit_length()))):
        zero = (rank >> bit) & 1 == 0
        zeros_before = np.concatenate([[0], np.cumsum(zero)])
        in_left, in_right = zeros_before[left], zeros_before[right]
        ones = (threshold >> bit) & 1 == 1
        count += np.where(ones, in_right - in_left, 0)
        left = np.where(ones, zeros_before[n] + left - in_left, in_left)
        right = np.where(ones, zeros_before[n] + right - in_right, in_right)
        rank = np.concatenate([rank[zero], rank[~zero]])
    return count
