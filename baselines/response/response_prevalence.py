"""Control: everybody is told the share of training patients who responded."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from baselines.response.parts.logistic import LICENCE, OVERLAP
from protocols.contract import Card, WeightsRecord
from protocols.response.contract import Probability, ResponseInputs, ResponseTraining


class ResponsePrevalence:
    card: ClassVar[Card] = Card(
        name="response_prevalence",
        title="Control: training prevalence",
        kind="control",
        task="response",
        licence=LICENCE,
        summary="One probability for all: AUC 0.5, and the Brier score that a model must beat.",
        training_overlap=OVERLAP,
    )

    def fit(self, train: ResponseTraining) -> None:
        self._share = float(train.response.mean())

    def predict(self, test: ResponseInputs) -> Probability:
        return np.full(len(test), self._share)

    def weights(self) -> tuple[WeightsRecord, ...]:
        return (WeightsRecord(part="whole model", source="none"),)
