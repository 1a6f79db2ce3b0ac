"""Oracle: the phantom's true probability of a response."""

from __future__ import annotations

from typing import ClassVar

from baselines.response.parts.logistic import LICENCE
from protocols.contract import Card
from protocols.response.contract import Probability, ResponseInputs, ResponseTraining


class ResponseOracle:
    card: ClassVar[Card] = Card(
        name="response_oracle",
        title="Oracle: the phantom's true probability",
        kind="oracle",
        task="response",
        licence=LICENCE,
        summary="The probability by which each response was drawn: nobody orders patients better but by luck.",
        needs=("oracle",),
        training_overlap="none: knows the truth itself",
    )

    def fit(self, train: ResponseTraining) -> None:
        pass

    def predict(self, test: ResponseInputs) -> Probability:
        return test.oracle("all")
