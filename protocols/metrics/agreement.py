"""Agreement of two measurements of one thing, such as the H-score of a generated and of the real IHC.

Pearson's r with Fisher's interval says how well one orders and scales with the other; Bland & Altman's bias and limits
(Lancet 1986; Stat Methods Med Res 1999) say how far apart they are, which r does not: ``2x + 50`` has r = 1.

Undefined values are None, with the reason: no r below three pairs or for a constant reference; a constant measurement
of a varying reference has r = 0 without an interval (the policy of :mod:`protocols.metrics.correlation`); no interval
of r below four pairs (Fisher's standard error divides by n - 3); no limits below two pairs.

Patches of one patient are not independent: :func:`agreement_by_patient` resamples patients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.errors import UserError
from protocols.seeds import generator

PERCENTILES = (2.5, 97.5)
RESAMPLES = 2000

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
    """Agreement over all pairs, its intervals over resampled patients (None below two patients).

    ``undefined_resamples`` counts those without an r (one patient with constant values drawn n times); intervals of r
    are over the others, and None if more than half are undefined.
    """

    r: Estimate
    bias: Estimate
    lower: Estimate
    upper: Estimate
    n: int
    patients: int
    undefined_resamples: int


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
    measured: Values,
    reference: Values,
    patients: Sequence[str] | NDArray[Any],
    seed: int,
    resamples: int = RESAMPLES,
) -> PatientAgreement:
    """r, bias and limits over all pairs, with percentile intervals over resampled patients (whole, with their pairs).

    A patient weighs as many pairs as it has, in the value as in every resample.
    """
    x, y = _pairs(measured, reference)
    names, of = np.unique(np.asarray(patients), return_inverse=True)
    if of.shape != x.shape:
        raise _wrong(f"{of.shape} patients for {x.shape} pairs", "one patient a pair", "check the table")
    r, limits = pearson(x, y), bland_altman(x, y)
    values = (r.r, limits.bias.value, limits.lower.value, limits.upper.value)
    if len(names) < 2:
        return _patient_agreement([Estimate(value, None, None) for value in values], len(x), len(names), 0)
    sums = _sums_by_patient(x - x.mean(), y - y.mean(), of, len(names))
    drawn = generator(seed, "patient agreement", len(names)).integers(len(names), size=(resamples, len(names)))
    flat = (drawn + len(names) * np.arange(resamples)[:, None]).ravel()
    times = np.bincount(flat, minlength=resamples * len(names)).reshape(resamples, len(names))
    replicates, defined = _replicates(times @ sums, x, y)
    replicates[:, 1:] += x.mean() - y.mean()
    kept = (defined, *(np.ones(resamples, dtype=bool),) * 3)
    estimates = [
        _interval(value, column[keep], len(column))
        for value, column, keep in zip(values, replicates.T, kept, strict=True)
    ]
    return _patient_agreement(estimates, len(x), len(names), int(resamples - defined.sum()))


def _patient_agreement(estimates: list[Estimate], n: int, patients: int, undefined: int) -> PatientAgreement:
    r, bias, lower, upper = estimates
    return PatientAgreement(r, bias, lower, upper, n, patients, undefined)


def _sums_by_patient(x: Float, y: Float, of: NDArray[np.int64], patients: int) -> Float:
    """Count and sums of x, y, x², y², xy of each patient, ``(patients, 6)``."""
    columns = (np.ones_like(x), x, y, x * x, y * y, x * y)
    return np.stack([np.bincount(of, column, minlength=patients) for column in columns], axis=1)


def _replicates(total: Float, x: Float, y: Float) -> tuple[Float, NDArray[np.bool_]]:
    """r, bias, lower and upper limit of each resample ``(b, 4)``, and where r is defined ``(b,)``."""
    n, sum_x, sum_y, xx, yy, xy = total.T
    xx, yy, xy = xx - sum_x**2 / n, yy - sum_y**2 / n, xy - sum_x * sum_y / n
    noise_x, noise_y = ((1e-12 * (values - values.mean()) ** 2).sum() for values in (x, y))
    varies = (n >= 3) & (yy > noise_y)
    both = varies & (xx > noise_x)  # a constant measurement of a varying reference: r = 0
    r = np.divide(xy, np.sqrt(np.where(both, xx * yy, 1.0)), out=np.zeros_like(n), where=both)
    bias = (sum_x - sum_y) / n
    spread = 1.959963984540054 * np.sqrt(np.maximum(xx + yy - 2 * xy, 0) / np.maximum(n - 1, 1))
    return np.stack([np.clip(r, -1, 1), bias, bias - spread, bias + spread], axis=1), varies


def _interval(value: float | None, replicates: Float, drawn: int) -> Estimate:
    if value is None or 2 * len(replicates) < drawn:
        return Estimate(value, None, None)
    low, high = np.percentile(replicates, PERCENTILES)
    return Estimate(value, float(low), float(high))


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
