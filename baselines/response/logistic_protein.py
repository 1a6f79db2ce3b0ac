"""Logistic regression on proteins one by one: means, which know nothing of where cells lie."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from baselines.response.parts.logistic import HOW, LICENCE, OVERLAP, Logistic
from protocols.contract import Card
from protocols.response.contract import ResponseInputs, niche_columns


class LogisticProtein(Logistic):
    card: ClassVar[Card] = Card(
        name="logistic_protein",
        title="Logistic regression: proteins, means",
        task="response",
        licence=LICENCE,
        summary=f"Every protein column that is no niche. {HOW}",
        needs=("proteins",),
        training_overlap=OVERLAP,
    )

    def columns(self, data: ResponseInputs) -> NDArray[Any]:
        return np.delete(data.proteins, niche_columns(data.protein_features), axis=1)
