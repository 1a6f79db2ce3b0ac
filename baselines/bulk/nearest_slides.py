"""Reference: the mean expression of the ten training slides that look most alike."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from baselines.bulk.parts.answer import gene_columns
from baselines.expression.parts.ridge import standardisation
from protocols.bulk.contract import SlideInputs, SlideTraining
from protocols.contract import Card, FloatArray

NEIGHBOURS = 10


class NearestSlides:
    """Cosine similarity of standardised mean features; with fewer than ten training slides, all of them."""

    card: ClassVar[Card] = Card(
        name="nearest_slides",
        title="Ten nearest slides, UNI",
        task="bulk",
        summary="Mean expression of the ten training slides of most similar mean feature (cosine, standardised).",
        licence="CC-BY-NC-ND-4.0 (gated; the encoder's)",
        encoder="uni",
        training_overlap="Mass-100K, private hospital slides; no TCGA (secondary source)",
    )

    def fit(self, train: SlideTraining) -> None:
        self._genes, self._targets = train.genes, train.targets.astype(np.float32)
        features = train.mean_feature().astype(np.float64)
        self._mean, self._spread = standardisation(features)
        self._seen = self._directions(features)

    def predict(self, test: SlideInputs) -> FloatArray:
        columns = gene_columns(self._genes, test.genes, self.card.name)
        likeness = self._directions(test.mean_feature().astype(np.float64)) @ self._seen.T
        nearest = np.argsort(-likeness, axis=1, kind="stable")[:, :NEIGHBOURS]
        targets = self._targets if columns is None else self._targets[:, columns]
        found = np.empty((len(test), targets.shape[1]), dtype=np.float32)
        for row, neighbours in enumerate(nearest):  # not at once: slides x 10 x genes would not fit
            found[row] = targets[neighbours].mean(axis=0)
        return found

    def _directions(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        z = (features - self._mean) / self._spread
        length = np.sqrt(np.square(z).sum(axis=1, keepdims=True))
        return np.asarray(z / np.maximum(length, 1e-12))
