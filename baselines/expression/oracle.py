"""Reference line: the phantom's best possible prediction."""

from __future__ import annotations

from typing import ClassVar

from protocols.contract import Card, FloatArray, Inputs, TrainingData


class Oracle:
    card: ClassVar[Card] = Card(
        name="oracle",
        title="Oracle: the phantom's own expectation",
        kind="oracle",
        summary="What the simulation itself expects given everything that morphology shows; nothing is learned.",
        licence="BSD-3-Clause",
        needs=("oracle",),
        training_overlap="knows the truth",
    )

    def fit(self, train: TrainingData) -> None:
        """Nothing to learn."""

    def predict(self, test: Inputs) -> FloatArray:
        return test.oracle()
