"""From each fold's risks and follow-up to everything that a survival record holds.

The headline is Harrell's C within a fold, averaged over folds: the risks of two folds' models have no common scale, so
pooling them (``harrell_pooled``, as papers also print) mixes discrimination with offsets between folds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from protocols.errors import UserError
from protocols.metrics.concordance import FoldOutcome, harrell, uno, why_uno_is_undefined
from protocols.metrics.concordance_influence import concordance_interval, mean_concordance
from protocols.metrics.past_concordance import printed_c1, printed_c2
from protocols.metrics.patient_values import PatientValues, mean_over_cohorts
from protocols.metrics.survival_curves import (
    GRID_PERCENTILES,
    GRID_POINTS,
    at_risk,
    high_risk_by_fold,
    high_risk_pooled,
    integrated_brier,
    kaplan_meier,
    logrank_p,
    mean_auc,
    placed_worst,
    risk_table_times,
)
from protocols.records import Interval

if TYPE_CHECKING:
    import pandas as pd

CURVE_POINTS = 500
"""A curve with more steps is thinned to so many for the record, its first and last kept; scores use every patient."""
RISING = 1e-9
"""A rise of a survival curve that is taken for rounding."""
Float = NDArray[np.float64]


@dataclass(frozen=True)
class ScoredFold:
    """One fold's test patients with their follow-up and a model's answer, and the follow-up it was trained on.

    ``risk`` is NaN for a patient whom a submission declared missing: it counts as the worst answer everywhere.
    ``times`` ``(k,)`` and ``survival`` ``(n, k)`` are the model's curves, or None.
    """

    name: str
    patient: NDArray[np.str_]
    time: Float
    event: NDArray[np.bool_]
    risk: Float
    train_time: Float
    train_event: NDArray[np.bool_]
    times: Float | None = None
    survival: Float | None = None


@dataclass(frozen=True)
class SurvivalScores:
    """JSON-safe (None, never NaN) but for ``units``: fold, patient, time, event, risk.

    ``summary``: harrell_mean, harrell_sd (population SD over folds, as MCAT prints it), harrell_pooled, uno_mean,
    uno_sd, uno_pooled, brier_integrated, auc_mean, logrank_p, past_printed_c1, past_printed_c2.
    ``survival``: ``folds`` (a row each, with the reason where Uno's C is undefined), ``curves`` and ``at_risk`` of the
    halves by median risk of each fold, ``logrank_p_pooled`` (halves by the median of all), ``tau`` of uno_pooled, and
    ``grid``, where Brier score and AUC are taken; of an average, each cohort's mean.
    """

    headline: Interval
    summary: dict[str, float | None]
    counts: dict[str, int]
    values: PatientValues | None
    survival: dict[str, Any]
    units: pd.DataFrame


def score_folds(folds: Sequence[ScoredFold]) -> SurvivalScores:
    """Score one cohort."""
    _check(folds)
    # A model that gives curves in some folds has refused them in the others: there they count as the worst.
    curves = any(fold.survival is not None for fold in folds)
    rows = [_fold_row(fold, curves) for fold in folds]
    values = mean_concordance(
        {f.name: (f.patient.tolist(), FoldOutcome(f.name, f.time, f.event, f.risk)) for f in folds}
    )
    time, event, risk = (np.concatenate([getattr(fold, name) for fold in folds]) for name in ("time", "event", "risk"))
    risks = [fold.risk for fold in folds]
    high = placed_worst(high_risk_by_fold(risks), event, risk)
    # All patients' follow-up stands for the censoring distribution: together the folds test the whole cohort.
    uno_pooled, tau = uno(time, event, time, event, risk)
    summary = {
        "harrell_mean": _mean(row["harrell"] for row in rows),
        "harrell_sd": _sd([row["harrell"] for row in rows]),
        "harrell_pooled": harrell(time, event, risk).value,
        "uno_mean": _mean(row["uno"] for row in rows),
        "uno_sd": _sd([row["uno"] for row in rows]),
        "uno_pooled": uno_pooled,
        "brier_integrated": _mean(row["brier"] for row in rows),
        "auc_mean": _mean(row["auc"] for row in rows),
        "logrank_p": logrank_p(time, event, high.astype(np.int64)),
        "past_printed_c1": _mean(row["printed_c1"] for row in rows),
        "past_printed_c2": _mean(row["printed_c2"] for row in rows),
    }
    headline = _interval(summary["harrell_mean"], values, len(time), int(event.sum()))
    return SurvivalScores(
        headline=headline,
        summary=summary,
        counts={
            "patients": len(time),
            "events": int(event.sum()),
            "folds": len(folds),
            "undefined_folds": sum(row["harrell"] is None for row in rows),
            "constant_risk_folds": sum(len(np.unique(fold.risk[~np.isnan(fold.risk)])) == 1 for fold in folds),
        },
        values=values,
        survival={
            "folds": rows,
            **_groups(time, event, high),
            "logrank_p_pooled": logrank_p(
                time, event, placed_worst(high_risk_pooled(risks), event, risk).astype(np.int64)
            ),
            "tau": tau,
            "grid": {"of": "training events", "percentiles": list(GRID_PERCENTILES), "points": GRID_POINTS},
        },
        units=_units(folds),
    )


def average_scores(by_cohort: Mapping[str, SurvivalScores]) -> SurvivalScores:
    """The plain mean over cohorts, which are independent; counts are summed.

    A summary that one cohort lacks is None, and so is the log-rank p: groups of different cohorts are not one test.
    """
    import pandas as pd

    if not by_cohort:
        raise UserError("no cohort", where="the average", expected="at least one", remedy="score a cohort first")

    parts = [by_cohort[name] for name in sorted(by_cohort)]
    known = {name: part.values for name, part in by_cohort.items() if part.values is not None}
    values = mean_over_cohorts(known) if len(known) == len(by_cohort) else None
    summary = {key: _mean_if_all([part.summary[key] for part in parts]) for key in parts[0].summary}
    summary["logrank_p"] = None
    mean = summary["harrell_mean"]
    counts = {key: sum(part.counts[key] for part in parts) for key in parts[0].counts}
    return SurvivalScores(
        headline=_interval(mean, values, sum(part.headline.n_patients for part in parts), counts["events"]),
        summary=summary,
        counts=counts,
        values=values,
        survival={"cohorts": {name: by_cohort[name].headline.mean for name in sorted(by_cohort)}},
        units=pd.concat([by_cohort[name].units.assign(cohort=name) for name in sorted(by_cohort)], ignore_index=True),
    )


def _fold_row(fold: ScoredFold, curves: bool) -> dict[str, Any]:
    train, test = (fold.train_time, fold.train_event), (fold.time, fold.event)
    found = harrell(*test, fold.risk)
    uno_c, tau = uno(*train, *test, fold.risk)
    brier = integrated_brier(*train, *test, fold.times, fold.survival) if curves else None
    return {
        "fold": fold.name,
        "n": len(fold.time),
        "events": int(fold.event.sum()),
        "comparable": found.comparable,
        "harrell": found.value,
        "uno": uno_c,
        "uno_undefined": None if uno_c is not None else why_uno_is_undefined(*test, tau),
        "tau": tau,
        "brier": brier,
        "auc": mean_auc(*train, *test, fold.risk),
        "printed_c1": printed_c1(*test, fold.risk),
        "printed_c2": printed_c2(*train, *test, fold.risk),
    }


def _groups(time: Float, event: NDArray[np.bool_], high: NDArray[np.bool_]) -> dict[str, Any]:
    """Kaplan-Meier curves of the two halves by risk; none where every risk is the same."""
    if not high.any() or high.all():
        return {"curves": [], "at_risk": None}
    columns = risk_table_times(time)
    curves = []
    for name, members in (("low", ~high), ("high", high)):
        curve = kaplan_meier(time[members], event[members])
        kept = np.unique(np.linspace(0, len(curve.time) - 1, min(CURVE_POINTS, len(curve.time))).round().astype(int))
        told = {"time": curve.time, "survival": curve.survival, "low": curve.low, "high": curve.high}
        steps = {key: None if values is None else values[kept].tolist() for key, values in told.items()}
        curves.append({"group": name, **steps, "n": curve.n, "events": curve.events})
    table = {"low": at_risk(time[~high], columns).tolist(), "high": at_risk(time[high], columns).tolist()}
    return {"curves": curves, "at_risk": {"times": columns.tolist(), **table}}


def _units(folds: Sequence[ScoredFold]) -> pd.DataFrame:
    import pandas as pd

    columns = ("patient", "time", "event", "risk")
    parts = [pd.DataFrame({"fold": f.name, **{name: getattr(f, name) for name in columns}}) for f in folds]
    return pd.concat(parts, ignore_index=True)


def _interval(mean: float | None, values: PatientValues | None, n: int, events: int) -> Interval:
    found = concordance_interval(values, events)
    return Interval(mean, found.low, found.high, n, found.reason)


def _mean(values: Any) -> float | None:
    found = [value for value in values if value is not None]
    return float(np.mean(found)) if found else None


def _mean_if_all(values: Sequence[float | None]) -> float | None:
    return None if any(value is None for value in values) else _mean(values)


def _sd(values: Sequence[float | None]) -> float | None:
    found = [value for value in values if value is not None]
    return float(np.std(found)) if found else None


def _check(folds: Sequence[ScoredFold]) -> None:
    """Refuse what cannot be scored; a user's table or a model is at fault."""
    _refuse(not folds, "no fold", "survival scoring", "at least one fold", "make a split")
    names = [fold.name for fold in folds]
    _refuse(len(set(names)) < len(names), "two folds of one name", f"folds {names}", "a name each", "mend the split")
    tested: dict[str, str] = {}
    for fold in folds:
        where, n = f"fold {fold.name}", len(fold.patient)
        sizes = [np.shape(part) for part in (fold.patient, fold.time, fold.event, fold.risk)]
        _refuse(
            n == 0 or set(sizes) != {(n,)},
            f"patients, times, events and risks of shapes {sizes}",
            where,
            "one of each a patient",
            "answer for every test patient",
        )
        _refuse(
            len(fold.train_time) == 0 or np.shape(fold.train_time) != np.shape(fold.train_event),
            f"{len(fold.train_time)} training times, {len(fold.train_event)} events",
            where,
            "one of each a training patient",
            "hand in the training follow-up",
        )
        for time in (fold.time, fold.train_time):
            _refuse(
                not (np.isfinite(time).all() and np.min(time) >= 0),
                "a time is negative, NaN or infinite",
                where,
                "months of follow-up",
                "mend the outcome table",
            )
        bad = np.isinf(fold.risk)
        if bad.any():
            told = f"the risk of {fold.patient[bad][0]} is not finite"
            _refuse(True, told, where, "finite numbers, or NaN for who was declared missing", "mend predict()")
        for patient in fold.patient.tolist():
            if patient in tested:
                told = f"{patient} is tested twice, first in fold {tested[patient]}"
                _refuse(True, told, where, "each patient once", "mend the split")
            tested[patient] = fold.name
        _check_curves(fold, where)


def _check_curves(fold: ScoredFold, where: str) -> None:
    curves, times = fold.survival, fold.times
    if curves is None and times is None:
        return
    if curves is None or times is None:
        given = "times" if curves is None else "survival"
        raise UserError(f"{given} alone", where=where, expected="times and survival together", remedy="mend predict()")
    shape = (len(fold.patient), len(times))
    ok = len(times) > 0 and curves.shape == shape and bool(np.isfinite(times).all())
    curves = curves[~np.isnan(fold.risk)] if ok else curves
    wrong = not ok or not np.isfinite(curves).all() or curves.min(initial=0) < 0 or curves.max(initial=1) > 1
    _refuse(
        wrong or bool(np.any(np.diff(times) <= 0)) or bool(np.any(np.diff(curves, axis=1) > RISING)),
        f"survival curves {curves.shape} at {len(times)} times are not valid",
        where,
        f"{shape}, probabilities that never rise, at ascending times",
        "mend predict()",
    )


def _refuse(wrong: bool, what: str, where: str, expected: str, remedy: str) -> None:
    if wrong:
        raise UserError(what, where=where, expected=expected, remedy=remedy)
