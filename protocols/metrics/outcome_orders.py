"""How far a value follows an outcome of patients, as one form of concordance, and how far chance alone brings it.

Each measure is a square matrix of signs over pairs of patients: +1 where the first should have the higher value, -1
where the second, 0 where the pair says nothing. The concordance of a value is the share of such pairs that it orders
so, ties counting one half: Harrell's C, the AUC for the event, and Kendall's concordance with time are one formula. If
patients and values have nothing to do with each other, its variance is known (Daniels, Biometrika 1944).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.metrics.pair_counts import Bool, Float, Int

Signs = NDArray[np.int8]
_ROWS = 1000
"""Rows of pairs that are compared at once."""


@dataclass(frozen=True)
class Followed:
    """A concordance by its parts: signed pairs that a value orders rightly less those wrongly, all of them, and the
    variance of the first where value and outcome have nothing to do with each other."""

    right: float
    pairs: float
    variance: float

    def __add__(self, other: Followed) -> Followed:
        return Followed(self.right + other.right, self.pairs + other.pairs, self.variance + other.variance)

    @property
    def value(self) -> float:
        """The concordance, 0.5 where no pair says anything."""
        return 0.5 + 0.5 * self.right / self.pairs if self.pairs else 0.5

    @property
    def spread(self) -> float:
        """Standard deviation of the concordance under permutation."""
        return float(0.5 * np.sqrt(self.variance) / self.pairs) if self.pairs else np.inf


NOTHING = Followed(0.0, 0.0, 0.0)


def event_first(time: Float, event: Bool) -> Signs:
    """Harrell's pairs: the earlier had the event while the later was still followed; tied events say nothing."""
    first: Bool = event[:, None] & ((time[:, None] < time) | ((time[:, None] == time) & ~event))
    return first.astype(np.int8) - first.T.astype(np.int8)


def event_told(_time: Float, event: Bool) -> Signs:
    """Pairs of one patient with the event and one without, whenever they happened."""
    had = event.astype(np.int8)
    return had[:, None] - had


def time_told(time: Float, _event: Bool) -> Signs:
    """All pairs with different follow-up, events or not: the shorter first."""
    shorter = time[:, None] < time
    return shorter.astype(np.int8) - shorter.T.astype(np.int8)


Pairs = Callable[[Float, Bool], Signs]
"""(time, event) of all patients to the signs of their pairs."""
MEASURES: dict[str, Pairs] = {
    "Harrell's C": event_first,
    "AUC for the event": event_told,
    "concordance with follow-up time": time_told,
}


def followed(signs: Signs, values: NDArray[Any], direction: Float | None = None) -> Followed:
    """How far ``values`` ``(n,)`` follow the pairs of ``signs`` ``(n, n)``; unknown values (NaN) do not count.

    ``direction``: +1 or -1 a patient, by which the orders of its pairs count. The variance is that of a value without
    ties, which ties only lower; it holds for a direction that is the same for all, and bounds the two tails together.
    """
    known = np.flatnonzero(np.isfinite(values))
    if len(known) < len(values):
        signs, values = signs[np.ix_(known, known)], values[known]
        direction = None if direction is None else direction[known]
    of_each = ordered(signs, values)
    right = float(of_each.sum() if direction is None else of_each @ direction)
    return Followed(right, float(np.count_nonzero(signs)), variance(signs))


def ordered(signs: Signs, values: NDArray[Any]) -> Int:
    """Of each patient, how many of its pairs ``values`` (finite) order rightly, less those that they order wrongly."""
    found = np.empty(len(values), dtype=np.int64)
    for start in range(0, len(values), _ROWS):
        rows = slice(start, start + _ROWS)
        some = values[rows, None]
        order = (some > values).view(np.int8) - (some < values).view(np.int8)
        found[rows] = np.multiply(signs[rows], order, out=order).sum(axis=1)
    return found


def variance(signs: Signs) -> float:
    """Variance of ``sum(signs * order)`` over all orders of ``n`` untied values, both halves of the matrix counted.

    Daniels, Biometrika 33 (1944), for two antisymmetric matrices of scores; Kendall's ``n(n-1)(2n+5)/18`` for times
    without ties (four times that here, since each pair is counted twice).
    """
    n = len(signs)
    if n < 2:
        return 0.0
    squares = float(np.count_nonzero(signs))
    rows = signs.sum(axis=1, dtype=np.float64)
    pairs = n * (n - 1)
    apart = 2 / pairs * squares * pairs
    if n == 2:
        return apart
    shared = (rows @ rows - squares) * (n * (n * n - 1) / 3 - pairs)
    return max(0.0, float(4 / (pairs * (n - 2)) * shared + apart))
