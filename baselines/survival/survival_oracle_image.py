"""Oracle: all that a slide can tell; the ceiling of its kind of model."""

from __future__ import annotations

from typing import ClassVar

from protocols.contract import Card
from protocols.survival.contract import PatientInputs, SurvivalPrediction, SurvivalTraining


class SurvivalOracleImage:
    card: ClassVar[Card] = Card(
        name="survival_oracle_image",
        title="Oracle: all that a slide can tell",
        kind="oracle",
        task="survival",
        licence="BSD-3-Clause (this repository)",
        training_overlap="none: knows the truth itself",
        summary="The log-hazard expected from the factors that show on the slide.",
        needs=("oracle",),
    )

    def fit(self, train: SurvivalTraining) -> None:
        pass

    def predict(self, test: PatientInputs) -> SurvivalPrediction:
        return SurvivalPrediction(test.oracle("image"))
