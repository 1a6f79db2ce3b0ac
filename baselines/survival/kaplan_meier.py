"""Control: everybody has the training fold's Kaplan-Meier curve."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from baselines.survival.parts.answer import curve_times
from protocols.contract import Card
from protocols.survival.contract import PatientInputs, SurvivalPrediction, SurvivalTraining


class KaplanMeier:
    """No insight: one risk for all, so C is 0.5 by its ties, and the Brier score to beat."""

    card: ClassVar[Card] = Card(
        name="kaplan_meier",
        title="Control: Kaplan-Meier of the training fold",
        kind="control",
        task="survival",
        licence="BSD-3-Clause (this repository)",
        training_overlap="none: fitted on the training fold alone",
        summary="The same curve and risk for every patient.",
    )

    def fit(self, train: SurvivalTraining) -> None:
        from sksurv.nonparametric import kaplan_meier_estimator

        months, survival = kaplan_meier_estimator(train.event, train.time)
        self._times = curve_times(train.time, train.event)
        self._curve = survival[np.searchsorted(months, self._times, side="right") - 1]

    def predict(self, test: PatientInputs) -> SurvivalPrediction:
        return SurvivalPrediction(np.zeros(len(test)), self._times, np.tile(self._curve, (len(test), 1)))
