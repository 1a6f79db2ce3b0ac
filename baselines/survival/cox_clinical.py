"""Reference: Cox regression on age, stage and the other clinical variables that a cohort has."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from baselines.survival.parts.answer import FittedHere, curve_times, surv, with_curves
from baselines.survival.parts.features import fitted_standardiser, with_missing_flags
from protocols.contract import Card
from protocols.survival.contract import PatientInputs, SurvivalPrediction, SurvivalTraining

RIDGE = 0.1
"""Penalty that keeps a rare level or two collinear variables from running away; small beside the likelihood."""


class CoxClinical(FittedHere):
    card: ClassVar[Card] = Card(
        name="cox_clinical",
        title="Reference: Cox regression on clinical variables",
        task="survival",
        licence="BSD-3-Clause (this repository)",
        summary="Age, stage and what else the cohort records, standardised; holes at the mean, with a flag.",
        paper="Cox, JRSS B 1972; scikit-survival",
        needs=("clinical",),
        training_overlap="none: fitted on the training fold alone",
        notes=("What a hospital knows without a slide or a sequencer: a model that does not beat it adds nothing.",),
    )

    def fit(self, train: SurvivalTraining) -> None:
        from sksurv.linear_model import CoxPHSurvivalAnalysis

        self._train_table = train.clinical
        self._table = fitted_standardiser(with_missing_flags(train.clinical, train.clinical))
        self._times = curve_times(train.time, train.event)
        self._cox: Any = CoxPHSurvivalAnalysis(alpha=RIDGE, ties="efron", n_iter=200)
        self._cox.fit(self._features(train), surv(train.event, train.time))

    def predict(self, test: PatientInputs) -> SurvivalPrediction:
        features = self._features(test)
        risk = np.asarray(self._cox.predict(features), dtype=np.float64)
        return with_curves(risk, self._times, self._cox.predict_survival_function(features))

    def _features(self, data: PatientInputs) -> Any:
        return self._table.transform(with_missing_flags(data.clinical, self._train_table))
