"""Is one prediction's correlation with the truth higher than another's? Tests for correlations that share a variable.

``r1``: truth with prediction, ``r2``: truth with the other prediction, ``r12``: between the two predictions, all
``(g,)`` or single numbers, over the same ``n`` independent units. Null hypothesis: the two true correlations are equal.

SEQUOIA's text names Steiger's Z; its released code computes Williams' t under that name. Steiger (1980) recommends
both; they differ little at hundreds of units.

Policy: p = 1 and a statistic of 0 where there is no test: three units or fewer, predictions that are the same up to
rounding (for Williams' t also exact opposites), and triples of correlations that no data can have. A perfect
correlation is not among these: its statistic is large and finite. Inputs that are no correlations raise
:class:`UserError`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from protocols.errors import UserError, look_up

Float64Array = NDArray[np.float64]
Alternative = Literal["greater", "two-sided", "released_absolute"]
ALTERNATIVES: dict[str, str] = {
    "greater": "r1 is the higher one: p is above 1/2 where it is the lower",
    "two-sided": "they differ",
    "released_absolute": "1 - F(|T|): one-tailed in whichever direction the data point, as the released code has it",
}
SAME = 1e-12
"""1 - r12 of predictions that differ by float32 rounding alone is below this; the statistic would be noise over
noise."""
IMPOSSIBLE = -1e-9
"""The determinant of a correlation matrix is not negative, save for rounding."""
LARGEST = 1 - 2.0**-53


class DependentTest(NamedTuple):
    """``statistic`` and ``p``, each ``(g,)``; finite everywhere."""

    statistic: Float64Array
    p: Float64Array


def williams_t(
    r1: ArrayLike, r2: ArrayLike, r12: ArrayLike, n: int, alternative: Alternative = "greater"
) -> DependentTest:
    """Williams' t (Steiger's T2), Student's with n - 3 degrees of freedom.

    T = (r1 - r2) √[(n-1)(1+r12) / (2 |R| (n-1)/(n-3) + r̄² (1-r12)³)], r̄ the mean of r1 and r2, |R| the determinant of
    the three variables' correlation matrix. Williams 1959; T2 of Steiger, Psychological Bulletin 87 (1980). One-sided
    by default, since only a model better than its untrained twin is of interest.
    """
    r1, r2, r12 = _checked(r1, r2, r12)
    determinant = _determinant(r1, r2, r12)
    apart, mean = 1 - r12, (r1 + r2) / 2
    tested = (n > 3) & (apart > SAME) & (1 + r12 > SAME) & (determinant >= IMPOSSIBLE)
    below = 2 * np.maximum(determinant, 0) * (n - 1) / max(n - 3, 1) + mean**2 * apart**3
    tested &= below > 0
    squared = np.divide((n - 1) * (1 + r12), below, out=np.zeros_like(below), where=tested)
    t = (r1 - r2) * np.sqrt(np.maximum(squared, 0))
    degrees = max(n - 3, 1)
    return DependentTest(t, _p(lambda x: special.stdtr(degrees, x), t, tested, alternative))


def steiger_z(
    r1: ArrayLike, r2: ArrayLike, r12: ArrayLike, n: int, alternative: Alternative = "greater"
) -> DependentTest:
    """Steiger's Z: Fisher-transformed correlations and their covariance at the pooled r̄ = (r1 + r2) / 2; normal.

    Z = (z1 - z2) √(n-3) / √(2 - 2s), s = ψ / (1-r̄²)², ψ = r12 (1-2r̄²) - r̄² (1-2r̄²-r12²) / 2. Steiger, Psychological
    Bulletin 87 (1980). In 1 - s the factor 1 - r12 is taken out, so that nearly equal predictions
    do not cancel.
    """
    r1, r2, r12 = _checked(r1, r2, r12)
    apart, pooled = 1 - r12, ((r1 + r2) / 2) ** 2
    inner = 1 - pooled * (1 + apart / 2)  # 1 - s = (1 - r12) · inner / (1 - r̄²)²
    tested = (n > 3) & (apart > SAME) & (inner > 0) & (_determinant(r1, r2, r12) >= IMPOSSIBLE)
    squared = np.divide(max(n - 3, 0), 2 * apart * inner, out=np.zeros_like(inner), where=tested)
    difference = np.arctanh(np.clip(r1, -LARGEST, LARGEST)) - np.arctanh(np.clip(r2, -LARGEST, LARGEST))
    z = difference * (1 - pooled) * np.sqrt(squared)
    return DependentTest(z, _p(special.ndtr, z, tested, alternative))


def _determinant(r1: Float64Array, r2: Float64Array, r12: Float64Array) -> Float64Array:
    """1 - r1² - r2² - r12² + 2 r1 r2 r12, in a form that keeps its digits where r12 is near 1."""
    return np.asarray((1 - r12) * (1 + r12 - 2 * r1 * r2) - (r1 - r2) ** 2, dtype=np.float64)


def _p(
    lower_tail: Callable[[Float64Array], Float64Array],
    statistic: Float64Array,
    tested: NDArray[np.bool_],
    alternative: Alternative,
) -> Float64Array:
    """The distributions are symmetric, and their lower tail keeps digits that 1 - F loses."""
    look_up(alternative, ALTERNATIVES, kind="alternative", where="the test of two correlations")
    p = lower_tail(-statistic if alternative == "greater" else -np.abs(statistic))
    return np.where(tested, 2 * p if alternative == "two-sided" else p, 1.0)


def _checked(*correlations: ArrayLike) -> list[Float64Array]:
    arrays = [np.asarray(r, dtype=np.float64) for r in correlations]
    if not all((np.abs(r) <= 1).all() for r in arrays):
        raise UserError(
            "a correlation is NaN or outside [-1, 1]",
            where="the test of two correlations",
            expected="three correlations a gene",
            remedy="give constant predictions an r of 0",
        )
    try:
        return [np.array(r) for r in np.broadcast_arrays(*arrays)]
    except ValueError as error:
        raise UserError(
            f"shapes {[r.shape for r in arrays]} do not match",
            where="the test of two correlations",
            expected="three correlations a gene",
            remedy="take all three over the same genes",
        ) from error
