"""Answers with survival curves on a common grid."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.contract import WeightsRecord
from protocols.errors import UserError
from protocols.survival.contract import EventArray, SurvivalPrediction, TimeArray

CURVE_POINTS = 40


class FittedHere:
    """Of a model that starts from no weights: everything it knows comes from the training fold."""

    def weights(self) -> tuple[WeightsRecord, ...]:
        return (WeightsRecord(part="whole model", source="none"),)


def curve_times(time: TimeArray, event: EventArray) -> NDArray[np.float64]:
    """At most 40 training event times, evenly spaced in rank."""
    return event_times(time, event, CURVE_POINTS)


def event_times(time: TimeArray, event: EventArray, most: int) -> NDArray[np.float64]:
    """At most ``most`` of the distinct event times, evenly spaced in rank, first and last among them."""
    events = np.unique(time[event])
    if not len(events):
        raise UserError(
            f"none of {len(time)} training patients has an event",
            where="follow-up of the training fold",
            expected="at least one event",
            remedy="use fewer folds or a cohort with longer follow-up",
        )
    return np.asarray(events[np.unique(np.linspace(0, len(events) - 1, most).round().astype(int))])


def with_curves(
    risk: NDArray[np.float64], times: NDArray[np.float64], functions: Iterable[Callable[[Any], Any]]
) -> SurvivalPrediction:
    """An answer from scikit-survival's step functions, one a patient."""
    curves = np.array([function(times) for function in functions]).reshape(len(risk), len(times))
    return SurvivalPrediction(risk, times, np.clip(np.minimum.accumulate(curves, axis=1), 0.0, 1.0))


def surv(event: EventArray, time: TimeArray) -> NDArray[Any]:
    """scikit-survival's structured array."""
    from sksurv.util import Surv

    made: NDArray[Any] = Surv.from_arrays(event, time)
    return made
