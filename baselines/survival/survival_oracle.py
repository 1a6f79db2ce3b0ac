"""Oracle: the phantom's true log-hazard; the ceiling of its kind of model."""

from __future__ import annotations

from typing import ClassVar

from protocols.contract import Card
from protocols.survival.contract import PatientInputs, SurvivalPrediction, SurvivalTraining


class SurvivalOracle:
    card: ClassVar[Card] = Card(
        name="survival_oracle",
        title="Oracle: the phantom's true log-hazard",
        kind="oracle",
        task="survival",
        licence="BSD-3-Clause (this repository)",
        training_overlap="none: knows the truth itself",
        summary="The log-hazard itself: nobody orders patients better but by luck.",
        needs=("oracle",),
    )

    def fit(self, train: SurvivalTraining) -> None:
        pass

    def predict(self, test: PatientInputs) -> SurvivalPrediction:
        return SurvivalPrediction(test.oracle("all"))
