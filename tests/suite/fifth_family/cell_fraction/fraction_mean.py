"""A control: the training slides' mean."""

import numpy as np

from cell_fraction.fit import Slides
from protocols.contract import Card, FloatArray


class FractionMean:
    card = Card(
        name="fraction_mean", title="Control: training mean", kind="control", task="cell_fraction",
        training_overlap="none",
    )  # fmt: skip

    def fit(self, train: Slides) -> None:
        self.level = float(np.mean(train.fraction))

    def predict(self, test: Slides) -> FloatArray:
        return np.full(len(test), self.level, dtype=np.float32)
