"""95 % intervals of headlines, at the numbers of patients that cohorts really have.

Resampling n patients never leaves their range, so a percentile bootstrap of a mean covers .49, .75, .82 and .89 at 2,
3, 5 and 8 patients, and it shifts a correlation by its small-sample bias a second time. Here:

* a mean over patients: Student's t. Its quantile is that of :data:`MEAN_LEVEL`, not of 95 %: a 95 % t interval of
  skewed values (PSNR of patients, like 15 + Gamma(2, 1.5)) covers .91 at 5 and .93 at 12 patients. At 96.5 % it covers
  .966 for normal values and at least .93 for those.
* a mean over folds of a correlation or of a concordance: t at 95 % over pseudo-values within folds, that of a
  correlation on Fisher's scale.

Too few patients get no interval but a reason. Coverage is a simulation: tests/protocols/metrics/test_coverage.py, and
the table in docs/metrics.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from protocols.metrics.patient_values import PatientValues, plain_mean
from protocols.records import Interval

LEVEL = 0.95
MEAN_LEVEL = 0.965
LEAST_PATIENTS = 3
"""Of a mean: two patients give an interval of 18 standard errors to either side."""


@dataclass(frozen=True)
class Scale:
    """Where a statistic in an open range is nearly normal: the way there, the way back, and the slope of the way."""

    there: Callable[[float], float]
    back: Callable[[float], float]
    slope: Callable[[float], float]
    low: float
    high: float


FISHER = Scale(lambda r: float(np.arctanh(r)), lambda z: float(np.tanh(z)), lambda r: 1 / (1 - r * r), -1.0, 1.0)
"""Of a correlation (Fisher 1915)."""
UNIT = Scale(lambda c: c, lambda c: min(max(c, 0.0), 1.0), lambda _: 1.0, 0.0, 1.0)
"""As it is, cut where a share ends."""


def mean_interval(values: Mapping[str, float]) -> Interval:
    """Mean over patients, with t bounds from three patients on. Without any patient there is no mean."""
    found = plain_mean(values)
    n = len(found)
    if not n:
        return Interval(None, None, None, 0, "no patient has a value")
    mean = float(np.mean(found.value))
    if n < LEAST_PATIENTS:
        return Interval(mean, None, None, n, f"{n} of the {LEAST_PATIENTS} patients that an interval needs")
    half = t_quantile(MEAN_LEVEL, n - 1) * standard_error(found)
    return Interval(mean, mean - half, mean + half, n)


def fold_interval(
    values: PatientValues, scale: Scale, *, least: int, least_in_fold: int = 2, level: float = LEVEL
) -> Interval:
    """The weighted sum of pseudo-values, with t bounds on ``scale``.

    None below ``least`` patients in all or ``least_in_fold`` in a fold, and at the ends of the scale (a perfect score).
    """
    mean, n = values.mean, len(values)
    smallest = min(values.sizes().values())
    if smallest < least_in_fold:
        return Interval(mean, None, None, n, f"a fold of {smallest} patients; an interval needs {least_in_fold}")
    if n < least:
        return Interval(mean, None, None, n, f"{n} of the {least} patients that an interval needs")
    if not scale.low < mean < scale.high:
        return Interval(mean, None, None, n, "at the end of its scale")
    half = t_quantile(level, degrees(values)) * standard_error(values) * scale.slope(mean)
    middle = scale.there(mean)
    return Interval(mean, scale.back(middle - half), scale.back(middle + half), n)


def standard_error(values: PatientValues) -> float:
    """Of the weighted sum: strata are independent, and within one values vary around their own mean."""
    total = 0.0
    for name, n in values.sizes().items():
        at = np.array([one == name for one in values.stratum])
        share = float(values.weight[at].sum())
        total += share**2 * float(values.value[at].var(ddof=1)) / n if n > 1 else np.inf
    return float(np.sqrt(total))


def degrees(values: PatientValues) -> int:
    """Patients less strata."""
    return len(values) - len(set(values.stratum))


def t_quantile(level: float, degrees: float) -> float:
    """Two-sided quantile of Student's t."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, (1 + level) / 2))
