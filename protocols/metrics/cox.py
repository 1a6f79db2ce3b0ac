"""Cox regression for reporting: hazard ratios with Wald intervals (Efron's ties), and Breslow's partial likelihood.

The partial likelihood is what the LASSO path and its cross-validation are judged by (glmnet and scikit-survival both
use Breslow's form); the reported hazard ratios use Efron's, R's default and the field's standard.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import norm

from protocols.errors import UserError
from protocols.metrics.concordance import Bool, Float

if TYPE_CHECKING:
    import pandas as pd

Z95 = float(norm.ppf(0.975))
PRECISION = 1e-9
"""Newton's steps end below this: estimates then agree with other programs' to about eight digits."""
UNBELIEVABLE_PER_SD = 12.0
"""A log hazard ratio per standard deviation beyond this means a likelihood without a maximum (separation)."""
UNBELIEVABLE_ERROR = 100.0
"""So does a standard error beyond this, per standard deviation of a covariate."""


@dataclass(frozen=True)
class HazardRatio:
    """One coefficient of a Cox model: ``exp(coefficient)`` with its 95 % Wald interval and two-sided Wald p.

    ``n`` patients and ``events`` are those of the model, the same for all of its covariates.
    """

    name: str
    hazard_ratio: float
    low: float
    high: float
    p: float
    n: int
    events: int

    def per(self, units: float, name: str | None = None) -> HazardRatio:
        """The same coefficient for a difference of ``units``; its p does not change."""
        ends = sorted((_power(self.low, units), _power(self.high, units)))
        return replace(
            self, name=name or self.name, hazard_ratio=_power(self.hazard_ratio, units), low=ends[0], high=ends[1]
        )


def cox_hazard_ratios(
    time: Float, event: Bool, covariates: pd.DataFrame, *, strata: Sequence[object] | None = None
) -> list[HazardRatio]:
    """Hazard ratios per unit of each covariate, in column order: one multivariable model, Efron's ties (lifelines).

    ``time`` float64 ``(n,)`` and ``event`` bool ``(n,)`` follow the rows of ``covariates`` (numeric, finite, no
    holes). ``strata`` gives each of its values a baseline hazard of its own. Covariates are scaled to unit variance
    (within strata) for the fit and back after it, so that neither estimates nor checks depend on their units.

    One :class:`UserError` where the model has no estimate: a constant or repeated covariate, no more events than
    covariates, a covariate that separates events from the rest, or a fit that does not settle.

    Cox, JRSS B 1972; Efron, JASA 1977.
    """
    table = _checked(time, event, covariates, strata)
    values = centred(table.to_numpy(dtype=np.float64), strata)
    sd = values.std(axis=0)
    coefficients, errors = _fitted(values / sd, time, event, strata, list(table.columns))
    return [
        _ratio(str(name), b / s, e / s, len(time), int(np.sum(event)))
        for name, b, e, s in zip(table.columns, coefficients, errors, sd, strict=True)
    ]


def centred(values: Float, strata: Sequence[object] | None = None) -> Float:
    """Columns ``(n, k)`` less their mean, each stratum less its own: offsets between strata do not matter."""
    if strata is None:
        return np.asarray(values - values.mean(axis=0))
    number = np.unique([str(one) for one in strata], return_inverse=True)[1]
    sums = np.zeros((number.max(initial=0) + 1, values.shape[1]))
    np.add.at(sums, number, values)
    return np.asarray(values - (sums / np.bincount(number)[:, None])[number])


def wald_p_of_interval(hazard_ratio: float, low: float, high: float) -> float:
    """The two-sided Wald p that a printed hazard ratio and its 95 % interval imply.

    SEQUOIA prints 1.21 (1.08-1.36) with P = 7.8e-07; the interval says 0.001.
    """
    if not 0 < low <= hazard_ratio <= high or low == high:
        raise UserError(
            f"{hazard_ratio} ({low}-{high})",
            where="hazard ratio",
            expected="0 < low <= ratio <= high, low < high",
            remedy="check the three numbers",
        )
    error = (math.log(high) - math.log(low)) / (2 * Z95)
    return float(2 * norm.sf(abs(math.log(hazard_ratio)) / error))


def partial_log_likelihood(scores: Float, time: Float, event: Bool) -> Float:
    """Breslow's log partial likelihood of linear scores ``(n, k)``, float64 ``(k,)``, in O(n log n + n k)."""
    order = np.argsort(-time, kind="stable")
    ordered, seen, later = scores[order], event[order], -time[order]
    at_risk = np.logaddexp.accumulate(ordered, axis=0)
    # Patients with the same time are at risk together: all take the sum that includes the last of them.
    last = np.searchsorted(later, later, side="right") - 1
    return np.asarray((ordered[seen] - at_risk[last[seen]]).sum(axis=0), dtype=np.float64)


def deviance(scores: Float, time: Float, event: Bool) -> Float:
    """Twice the gap to the saturated model, ``(k,)``: with d events at a time, that has -Σ d log d (glmnet 4.1)."""
    _, tied = np.unique(time[event], return_counts=True)
    saturated = -float(np.sum(tied * np.log(tied)))
    return np.asarray(2 * (saturated - partial_log_likelihood(scores, time, event)))


def design(table: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Covariates as numbers, and what was done to them, one note each.

    Text becomes an indicator for each value but the most frequent (the first by name among equals), ``column=value``;
    numbers and booleans stay. Rows with a hole are dropped (complete cases), then columns without any spread.
    """
    import pandas as pd

    whole = table.dropna()
    notes = [f"{len(table) - len(whole)} patients without all covariates left out"] if len(whole) < len(table) else []
    columns: dict[str, pd.Series[float]] = {}
    for column in map(str, whole.columns):
        values = whole[column]
        if pd.api.types.is_numeric_dtype(values):
            columns[column] = values.astype(np.float64)
            continue
        text = values.astype(str)
        counts = text.value_counts()
        reference = min(counts.index[counts == counts.max()]) if len(counts) else ""
        for value in sorted(set(text) - {reference}):
            columns[f"{column}={value}"] = (text == value).astype(np.float64)
        if text.nunique() < 2:
            notes.append(f"covariate {column} left out: it is constant")
    made = pd.DataFrame(columns, index=whole.index)
    flat = [name for name in made.columns if made[name].nunique() < 2]
    notes += [f"covariate {name} left out: it is constant" for name in flat]
    return made.drop(columns=flat), tuple(notes)


def _checked(time: Float, event: Bool, covariates: pd.DataFrame, strata: Sequence[object] | None) -> pd.DataFrame:
    n, events = len(covariates), int(np.sum(event))
    if not len(time) == len(event) == n or (strata is not None and len(strata) != n):
        raise _refused(f"{len(time)} times, {len(event)} events, {n} rows", "one of each a patient", "align the tables")
    if covariates.columns.has_duplicates:
        twice = covariates.columns[covariates.columns.duplicated()][0]
        raise _refused(f"covariate {twice} twice", "each once", "rename one")
    for name in covariates.columns:
        try:
            values = covariates[name].to_numpy(dtype=np.float64)
        except (TypeError, ValueError):
            raise _refused(f"covariate {name} is not a number", "numbers", "code it as indicators") from None
        if not np.isfinite(values).all():
            raise _refused(f"covariate {name} has holes or infinities", "finite numbers", "drop those patients")
        # Relative to its size: the mean of equal floats may itself be one rounding off.
        if not n or centred(values[:, None], strata).std() <= 1e-12 * max(1e-300, float(np.abs(values).max())):
            raise _refused(f"covariate {name} is constant", "a spread (in some stratum)", "leave it out")
    if not np.isfinite(time).all():
        raise _refused("follow-up has holes or infinities", "finite times", "drop those patients")
    if events <= len(covariates.columns):
        raise _refused(
            f"{events} events for {len(covariates.columns)} covariates",
            "more events than covariates",
            "leave covariates out, or pool cohorts",
        )
    return covariates


def _fitted(
    values: Float, time: Float, event: Bool, strata: Sequence[object] | None, names: list[str]
) -> tuple[Float, Float]:
    """Coefficients and standard errors of standardised covariates, ``(k,)`` each."""
    import pandas as pd
    from lifelines import CoxPHFitter  # type: ignore[import-untyped, unused-ignore]
    from lifelines.exceptions import (  # type: ignore[import-untyped, unused-ignore]
        ConvergenceError,
        ConvergenceWarning,
    )

    table = pd.DataFrame(values, columns=[f"x{i}" for i in range(values.shape[1])])
    table["time"], table["event"] = np.asarray(time, dtype=np.float64), np.asarray(event, dtype=bool)
    if strata is not None:
        table["stratum"] = pd.factorize(pd.Series(list(strata)).astype(str), sort=True)[0]
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        try:
            cox = CoxPHFitter().fit(
                table,
                "time",
                "event",
                strata=None if strata is None else ["stratum"],
                fit_options={"precision": PRECISION},
            )
        except (ConvergenceError, np.linalg.LinAlgError, ValueError, ZeroDivisionError) as error:
            raise _no_estimate(names, type(error).__name__) from None
    if any(issubclass(one.category, ConvergenceWarning) for one in seen):
        raise _no_estimate(names, "the fit did not settle")
    coefficients = np.asarray(cox.params_, dtype=np.float64)
    errors = np.asarray(cox.standard_errors_, dtype=np.float64)
    sound = np.isfinite(coefficients) & np.isfinite(errors) & (errors > 0)
    if not (sound & (np.abs(coefficients) < UNBELIEVABLE_PER_SD) & (errors < UNBELIEVABLE_ERROR)).all():
        raise _no_estimate(names, "a ratio without bound")
    return coefficients, errors


def _no_estimate(names: list[str], why: str) -> UserError:
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return _refused(
        f"no estimate for {shown} ({why})",
        "covariates that neither separate the events nor repeat each other",
        "leave out or merge the rare or repeated one",
    )


def _refused(what: str, expected: str, remedy: str) -> UserError:
    return UserError(what, where="Cox regression", expected=expected, remedy=remedy)


def _ratio(name: str, b: float, error: float, n: int, events: int) -> HazardRatio:
    low, high = (_exp(b - Z95 * error), _exp(b + Z95 * error))
    return HazardRatio(name, _exp(b), low, high, float(2 * norm.sf(abs(b) / error)), n, events)


def _exp(value: float) -> float:
    """Bounded: a covariate in tiny units may have a ratio per unit beyond any float."""
    return math.exp(min(700.0, max(-700.0, value)))


def _power(ratio: float, units: float) -> float:
    return _exp(units * math.log(ratio))
