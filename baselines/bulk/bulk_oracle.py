"""Oracle: the phantom's best prediction of bulk expression; the ceiling of every model."""

from __future__ import annotations

from typing import ClassVar

from protocols.bulk.contract import SlideInputs, SlideTraining
from protocols.contract import Card, FloatArray


class BulkOracle:
    card: ClassVar[Card] = Card(
        name="bulk_oracle",
        title="Oracle: what slides show",
        kind="oracle",
        task="bulk",
        licence="BSD-3-Clause (this repository)",
        training_overlap="none: knows the truth itself",
        summary="What a slide can tell of each gene: nobody predicts better but by luck.",
        needs=("oracle",),
    )

    def fit(self, train: SlideTraining) -> None:
        pass

    def predict(self, test: SlideInputs) -> FloatArray:
        return test.oracle()
