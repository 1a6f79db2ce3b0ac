"""Linear probe of a frozen embedding: what most papers mean by "we compared with UNI, CONCH, …"."""

from __future__ import annotations

from typing import ClassVar

from baselines.expression.parts.ridge import MaskedRidge
from protocols.contract import Card, FloatArray, Inputs, TrainingData


class RidgeProbe:
    """Ridge from the card's encoder to every gene; a probe of an encoder is this class with a card.

    Features are standardised on training rows, the penalty is chosen per gene by exact leave-one-out on training
    rows, genes are fitted on the rows where they were measured (see
    :class:`baselines.expression.parts.ridge.MaskedRidge`).
    """

    card: ClassVar[Card]

    def fit(self, train: TrainingData) -> None:
        self._ridge = MaskedRidge().fit(train.embedding(), train.targets)

    def predict(self, test: Inputs) -> FloatArray:
        return self._ridge.predict(test.embedding())
