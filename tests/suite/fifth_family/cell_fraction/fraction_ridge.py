"""A model: ridge on the mean embedding of a slide's tiles."""

import numpy as np

from cell_fraction.fit import Slides
from protocols.contract import Card, FloatArray


class FractionRidge:
    card = Card(
        name="fraction_ridge", title="Ridge on filters", task="cell_fraction", encoder="three_by_three",
        training_overlap="none",
    )  # fmt: skip

    def fit(self, train: Slides) -> None:
        x, y = train.features.astype(np.float64), train.fraction.astype(np.float64)
        self.centre, self.level = x.mean(axis=0), y.mean()
        x = x - self.centre
        self.slope = np.linalg.solve(x.T @ x + 1e-6 * np.eye(x.shape[1]), x.T @ (y - self.level))

    def predict(self, test: Slides) -> FloatArray:
        return (test.features - self.centre) @ self.slope + self.level
