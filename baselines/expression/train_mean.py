"""Control: the training mean of every gene, whatever the image shows."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from protocols.contract import Card, FloatArray, Inputs, TrainingData


class TrainMean:
    """Predicts a constant per gene: its Pearson r is undefined, its squared error the one to beat."""

    card: ClassVar[Card] = Card(
        name="train_mean",
        title="Control: training mean",
        kind="control",
        summary="Each gene's mean over the training rows (0 for a gene never measured there).",
        licence="BSD-3-Clause",
        training_overlap="none",
    )

    def fit(self, train: TrainingData) -> None:
        targets = train.targets.astype(np.float64)
        seen = np.isfinite(targets)
        self._mean = np.where(seen, targets, 0.0).sum(axis=0) / np.maximum(seen.sum(axis=0), 1)

    def predict(self, test: Inputs) -> FloatArray:
        return np.tile(self._mean.astype(np.float32), (len(test), 1))
