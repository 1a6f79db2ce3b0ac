"""From each fold's probabilities and outcomes to everything that a response record holds.

The headline is the AUC within a fold, averaged over folds: two folds' models have no common scale, so pooling their
probabilities (``auc_pooled``, as papers also print) mixes discrimination with offsets between folds. What is of numbers
and not of order (Brier score, calibration, net benefit) is taken over all patients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.metrics.auc_influence import (
    LEAST_FOR_PRECISION,
    auc_values,
    interval_over_folds,
    over_folds,
    precision_values,
)
from protocols.metrics.binary import (
    auc,
    average_precision,
    brier,
    calibration_error,
    chance_precision,
    net_benefit,
    recalibration,
    reliability,
    treat_all,
)
from protocols.metrics.patient_values import PatientValues
from protocols.records import Interval

THRESHOLDS = tuple(round(0.05 * k, 2) for k in range(1, 20))
"""Of the decision curve."""


@dataclass(frozen=True)
class ScoredFold:
    """One fold's test patients with their outcome and a model's answer, NaN for who was declared missing."""

    name: str
    patient: NDArray[np.str_]
    response: NDArray[np.bool_]
    probability: NDArray[np.float64]


@dataclass(frozen=True)
class ResponseScores:
    """JSON-safe (None, never NaN) but for ``units``: fold, patient, response, probability.

    ``summary``: auc_mean, auc_sd (population SD over folds), auc_pooled, auprc_mean with auprc_low and auprc_high, and
    auprc_chance beside it, prevalence, brier, calibration_intercept, calibration_slope, calibration_error, net_benefit.
    ``details``: ``response`` with ``folds`` (a row each), ``reliability`` (bins), ``decision`` (threshold, net benefit
    of the model and of treating all; treating nobody is 0) and ``auprc`` (why it has no interval).
    """

    headline: Interval
    summary: dict[str, float | None]
    counts: dict[str, int]
    values: PatientValues | None
    details: dict[str, Any]
    units: pd.DataFrame


def score_folds(folds: Sequence[ScoredFold]) -> ResponseScores:
    """Score one cohort; every patient is tested in one fold."""
    told = {fold.name: (fold.patient.tolist(), fold.response, fold.probability) for fold in folds}
    rows = [_row(fold) for fold in folds]
    response, probability = (
        np.concatenate([getattr(fold, name) for fold in folds]) for name in ("response", "probability")
    )
    values = over_folds(told, auc_values)
    headline = interval_over_folds(values, told)
    precision = interval_over_folds(over_folds(told, precision_values), told, LEAST_FOR_PRECISION)
    prevalence = float(response.mean())
    calibrated = recalibration(response, probability)
    defined = [row["auc"] for row in rows if row["auc"] is not None]
    mixed = 0 < prevalence < 1
    return ResponseScores(
        headline=headline,
        summary={
            "auc_mean": headline.mean,
            "auc_sd": float(np.std(defined)) if defined else None,
            "auc_pooled": auc(response, probability),
            "auprc_mean": precision.mean,
            "auprc_low": precision.low,
            "auprc_high": precision.high,
            "auprc_chance": _mean([row["chance"] for row in rows]),
            "prevalence": prevalence,
            "brier": brier(response, probability),
            "calibration_intercept": calibrated.intercept,
            # One answer a fold has no slope: what is left is the offset of the folds' models from each other.
            "calibration_slope": None if all(row["constant"] for row in rows) else calibrated.slope,
            "calibration_error": calibration_error(response, probability),
            "net_benefit": net_benefit(response, probability, prevalence) if mixed else None,
        },
        counts={
            "patients": len(response),
            "responders": int(response.sum()),
            "folds": len(folds),
            "undefined_folds": sum(row["auc"] is None for row in rows),
            "constant_folds": sum(row["constant"] for row in rows),
        },
        values=values,
        details={
            "response": {
                "folds": rows,
                "reliability": [asdict(one) for one in reliability(response, probability)],
                "decision": [
                    {"threshold": t, "model": net_benefit(response, probability, t), "all": treat_all(response, t)}
                    for t in THRESHOLDS
                ],
                "auprc": {"reason": precision.reason},
            }
        },
        units=pd.concat([_units(fold) for fold in folds], ignore_index=True),
    )


def _row(fold: ScoredFold) -> dict[str, Any]:
    known = fold.probability[~np.isnan(fold.probability)]
    return {
        "fold": fold.name,
        "n": len(fold.response),
        "responders": int(fold.response.sum()),
        "auc": auc(fold.response, fold.probability),
        "auprc": average_precision(fold.response, fold.probability),
        "chance": chance_precision(fold.response),
        "constant": len(np.unique(known)) == 1,
    }


def _units(fold: ScoredFold) -> pd.DataFrame:
    columns = ("patient", "response", "probability")
    return pd.DataFrame({"fold": fold.name, **{name: getattr(fold, name) for name in columns}})


def _mean(values: Sequence[float | None]) -> float | None:
    found = [value for value in values if value is not None]
    return float(np.mean(found)) if found else None
