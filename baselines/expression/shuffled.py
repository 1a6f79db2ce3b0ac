"""Control: the UNI probe fitted on shuffled expression."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from baselines.expression.parts.ridge import MaskedRidge
from protocols.contract import Card, FloatArray, Inputs, TrainingData
from protocols.seeds import generator


class Shuffled:
    """The ridge of the UNI probe, but each slide's training cells have exchanged their expression.

    Whole rows are permuted within a slide, so gene-gene correlation, slide means and holes stay; only the link to the
    image is cut. Its r must be 0 within its interval; if not, the split or the metric leaks.
    """

    card: ClassVar[Card] = Card(
        name="shuffled",
        title="Control: UNI probe on shuffled targets",
        kind="control",
        summary="Same embedding and ridge as UNI; training targets permuted within each slide.",
        licence="CC-BY-NC-ND-4.0 (gated; the encoder's)",
        encoder="uni",
        training_overlap="as UNI",
    )

    def fit(self, train: TrainingData) -> None:
        shuffled = train.targets.copy()
        for slide in np.unique(train.slide):
            rows = np.flatnonzero(train.slide == slide)
            shuffled[rows] = train.targets[generator(train.settings.seed, "shuffled", slide).permutation(rows)]
        self._ridge = MaskedRidge().fit(train.embedding(), shuffled)

    def predict(self, test: Inputs) -> FloatArray:
        return self._ridge.predict(test.embedding())
