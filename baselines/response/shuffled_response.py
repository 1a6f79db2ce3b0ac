"""Control: logistic_all with the outcomes of the training patients shuffled among them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from baselines.response.parts.logistic import LICENCE, OVERLAP, Logistic
from protocols.contract import Card
from protocols.response.contract import ResponseInputs, ResponseTraining
from protocols.seeds import generator


class ShuffledResponse(Logistic):
    """Everything a real model has but a link between features and outcome: AUC must be 0.5 within its interval."""

    card: ClassVar[Card] = Card(
        name="shuffled_response",
        title="Control: logistic regression on shuffled outcomes",
        kind="control",
        task="response",
        licence=LICENCE,
        summary="Outcomes of the training patients permuted, then as logistic_all, of the tables that there are.",
        training_overlap=OVERLAP,
    )

    def columns(self, data: ResponseInputs) -> NDArray[Any]:
        return np.hstack([data.clinical, data.proteins])

    def fit(self, train: ResponseTraining) -> None:
        order = generator(train.settings.seed, "shuffled response", len(train)).permutation(len(train))
        view: Any = train  # a frozen dataclass: the same patients, with the outcome of others
        super().fit(replace(view, response=train.response[order]))
