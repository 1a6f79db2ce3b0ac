"""Agreement of two measurements of one thing, such as the H-score of a generated and of the real IHC.

Pearson's r with Fisher's interval says how well one orders and scales with the other; Bland & Altman's bias and limits
(Lancet 1986; Stat Methods Med Res 1999) say how far apart they are, which r does not: ``2x + 50`` has r = 1.

Undefined values are None, with the reason: no r below three pairs or for a constant reference; a constant measurement
of a varying reference has r = 0 without an interval (the policy of :mod:`protocols.metrics.correlation`); no interval
of r below four pairs (Fisher's standard error divides by n - 3); no limits below two pairs.

Patches of one patient are not independent: :func:`agreement_by_patient` leaves out patients one by one. The other
functions are for independent pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.errors import UserError

Float = NDArray[np.float64]
Values = Float | Sequence[float]
_NOISE = 8 * float(np.finfo(np.float64).eps)  # a relative spread below this is rounding, as in metrics.correlation


@dataclass(frozen=True)
class Estimate:
    """A value with its interval; None where undefined."""

    value: float | None
    low: float | None
    high: float | None


UNDEFINED = Estimate(None, None, None)
LEAST_FOR_R, LEAST_FOR_BIAS = 5, 2
"""Patients. With three, intervals of r cover up to .985, with two .91 to .96; from five on .93 to .96 on the scale of
H-scores, whether patients differ little or much (docs/metrics.md)."""


@dataclass(frozen=True)
class Pearson:
    """r with its interval over ``n`` pairs; ``reason`` says why something is undefined, empty otherwise."""

    r: float | None
    low: float | None
    high: float | None
    n: int
    reason: str = ""


@dataclass(frozen=True)
class BlandAltman:
    """Mean of measured - reference, and the limits between which 95 % of differences lie, in the unit of the values."""

    bias: Estimate
    lower: Estimate
    upper: Estimate
    sd: float | None
    """Sample standard deviation of the differences."""
    n: int


@dataclass(frozen=True)
class PatientAgreement:
    """Agreement over all pairs. ``reason`` says why r, or its interval, is undefined; empty otherwise.

    r has an interval from :data:`LEAST_FOR_R` patients, the bias from :data:`LEAST_FOR_BIAS`. ``lower`` and ``upper``
    limits have none: what was tried covers .83 to .92 below 30 patients and is too sure at 30 still.
    """

    r: Estimate
    bias: Estimate
    lower: float | None
    upper: float | None
    n: int
    patients: int
    reason: str = ""


def pearson(measured: Values, reference: Values, *, level: float = 0.95) -> Pearson:
    """Pearson's r of ``(n,)`` pairs with Fisher's interval, ``tanh(artanh r ± z / √(n - 3))``."""
    from scipy.special import ndtri

    x, y = _pairs(measured, reference)
    n = len(x)
    if n < 3:
        return Pearson(None, None, None, n, f"{n} pairs; three are needed")
    if _constant(y):
        return Pearson(None, None, None, n, "the reference is constant")
    if _constant(x):
        return Pearson(0.0, None, None, n, "the measurement is constant: r counts as 0")
    r = _correlation(x, y)
    if n < 4:
        return Pearson(r, None, None, n, "an interval needs four pairs")
    if abs(r) == 1:
        return Pearson(r, r, r, n)
    half = float(ndtri(0.5 + level / 2)) / sqrt(n - 3)
    return Pearson(r, float(np.tanh(np.arctanh(r) - half)), float(np.tanh(np.arctanh(r) + half)), n)


def bland_altman(measured: Values, reference: Values, *, level: float = 0.95) -> BlandAltman:
    """Bias and limits of agreement (bias ± 1.96 SD) of ``(n,)`` pairs, each with its interval.

    Intervals by Student's t with n - 1 degrees of freedom; the variance of a limit is
    ``SD² (1/n + z² / (2 (n - 1)))`` (Bland & Altman 1999, section 2.3).
    """
    from scipy.special import ndtri, stdtrit

    x, y = _pairs(measured, reference)
    difference, n = x - y, len(x)
    if not n:
        return BlandAltman(UNDEFINED, UNDEFINED, UNDEFINED, None, 0)
    bias = float(difference.mean())
    if n < 2:
        return BlandAltman(Estimate(bias, None, None), UNDEFINED, UNDEFINED, None, n)
    sd, z = float(difference.std(ddof=1)), float(ndtri(0.975))
    t = float(stdtrit(n - 1, 0.5 + level / 2))
    around_bias, around_limit = t * sd / sqrt(n), t * sd * sqrt(1 / n + z**2 / (2 * (n - 1)))
    lower, upper = bias - z * sd, bias + z * sd
    return BlandAltman(
        Estimate(bias, bias - around_bias, bias + around_bias),
        Estimate(lower, lower - around_limit, lower + around_limit),
        Estimate(upper, upper - around_limit, upper + around_limit),
        sd,
        n,
    )


def agreement_by_patient(
    measured: Values, reference: Values, patients: Sequence[str] | NDArray[Any]
) -> PatientAgreement:
    """r, bias and limits over all pairs, with intervals that know that a patient's pairs are alike.

    A patient weighs as many pairs as it has. Intervals by the jackknife over patients: the estimate ± t standard
    errors, t of patients - 1 degrees of freedom, r on Fisher's scale.
    """
    x, y = _pairs(measured, reference)
    names, of = np.unique(np.asarray(patients), return_inverse=True)
    if of.shape != x.shape:
        raise _wrong(f"{of.shape} patients for {x.shape} pairs", "one patient a pair", "check the table")
    r, limits, n = pearson(x, y), bland_altman(x, y), len(names)
    if not n:
        return PatientAgreement(UNDEFINED, UNDEFINED, None, None, 0, 0, r.reason)
    sums = _sums_by_patient(x - x.mean(), y - y.mean(), of, n)
    without, varies = _estimates(sums.sum(axis=0) - sums, x, y)
    reason = _no_interval(r, n, varies)
    r_low, r_high = (
        (None, None) if reason else _jackknife(np.arctanh(_inside(r.r or 0.0)), np.arctanh(_inside(without[0])))
    )
    bias = limits.bias.value
    low, high = (None, None) if bias is None or n < LEAST_FOR_BIAS else _jackknife(bias, without[1] + bias)
    return PatientAgreement(
        Estimate(r.r, *(None if end is None else float(np.tanh(end)) for end in (r_low, r_high))),
        Estimate(bias, low, high),
        limits.lower.value,
        limits.upper.value,
        len(x),
        n,
        reason,
    )


def _no_interval(r: Pearson, patients: int, varies: NDArray[np.bool_]) -> str:
    """Why r has no interval; empty if it has one."""
    if r.reason:
        return r.reason
    if patients < LEAST_FOR_R:
        return f"{patients} patients; an interval of r needs {LEAST_FOR_R}"
    if r.r is not None and abs(r.r) > 1 - _NOISE:
        return "all pairs lie on one line"
    return "" if varies.all() else "without one of the patients r is undefined"


def _jackknife(value: float, without: Float) -> tuple[float, float]:
    """Ends of the interval; ``without (patients,)`` are the estimates that leave one patient out."""
    from scipy.special import stdtrit

    n = len(without)
    half = float(stdtrit(n - 1, 0.975) * np.sqrt((n - 1) * without.var()))
    return value - half, value + half


def _inside(r: Any) -> Any:
    """Short of -1 and 1, where Fisher's scale ends."""
    return np.clip(r, -1 + _NOISE, 1 - _NOISE)


def _sums_by_patient(x: Float, y: Float, of: NDArray[np.int64], patients: int) -> Float:
    """Count and sums of x, y, x², y², xy of each patient, ``(patients, 6)``."""
    columns = (np.ones_like(x), x, y, x * x, y * y, x * y)
    return np.stack([np.bincount(of, column, minlength=patients) for column in columns], axis=1)


def _estimates(total: Float, x: Float, y: Float) -> tuple[Float, NDArray[np.bool_]]:
    """r and bias ``(2, b)`` of sums ``(b, 6)``, and where r is defined ``(b,)``."""
    n, sum_x, sum_y, xx, yy, xy = total.T
    there = np.maximum(n, 1)
    xx, yy, xy = xx - sum_x**2 / there, yy - sum_y**2 / there, xy - sum_x * sum_y / there
    noise_x, noise_y = ((1e-12 * (values - values.mean()) ** 2).sum() for values in (x, y))
    varies = (n >= 3) & (yy > noise_y)
    both = varies & (xx > noise_x)  # a constant measurement of a varying reference: r = 0
    r = np.divide(xy, np.sqrt(np.where(both, xx * yy, 1.0)), out=np.zeros_like(n), where=both)
    return np.stack([np.clip(r, -1, 1), (sum_x - sum_y) / there]), varies


def _correlation(x: Float, y: Float) -> float:
    x, y = x - x.mean(), y - y.mean()
    return float(np.clip(x @ y / (np.linalg.norm(x) * np.linalg.norm(y)), -1.0, 1.0))


def _constant(values: Float) -> bool:
    return bool(values.std() <= _NOISE * np.sqrt(np.mean(values**2)))


def _pairs(measured: Values, reference: Values) -> tuple[Float, Float]:
    x, y = np.asarray(measured, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    if x.shape != y.shape or x.ndim != 1:
        raise _wrong(f"{x.shape} and {y.shape} values", "two vectors of one length", "pair up the measurements")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise _wrong("a value is NaN or infinite", "finite values", "leave undefined pairs out and count them")
    return x, y


def _wrong(what: str, expected: str, remedy: str) -> UserError:
    return UserError(what, where="the agreement of two measurements", expected=expected, remedy=remedy)
