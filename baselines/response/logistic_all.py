"""Logistic regression on clinical variables and virtual or measured proteins together."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from baselines.response.parts.logistic import HOW, LICENCE, OVERLAP, Logistic
from baselines.response.parts.published import gains, mica
from protocols.contract import Card
from protocols.response.contract import ResponseInputs


class LogisticAll(Logistic):
    card: ClassVar[Card] = Card(
        name="logistic_all",
        title="Logistic regression: clinical and proteins",
        task="response",
        licence=LICENCE,
        summary=f"Every column of both tables. {HOW}",
        paper="Hosmer & Lemeshow, Applied Logistic Regression, 2000; scikit-learn",
        needs=("clinical", "proteins"),
        training_overlap=OVERLAP,
        published=(mica(), *gains()),
        notes=(
            "The published 0.82 is MICA's, of slides and virtual proteins; it stands here as the claim to compare.",
        ),
    )

    def columns(self, data: ResponseInputs) -> NDArray[Any]:
        return np.hstack([data.clinical, data.proteins])
