"""Logistic regression on proteins and on how they lie together."""

from __future__ import annotations

from typing import Any, ClassVar

from numpy.typing import NDArray

from baselines.response.parts.logistic import HOW, LICENCE, OVERLAP, Logistic
from protocols.contract import Card
from protocols.response.contract import ResponseInputs


class LogisticNiche(Logistic):
    card: ClassVar[Card] = Card(
        name="logistic_niche",
        title="Logistic regression: proteins, means and niches",
        task="response",
        licence=LICENCE,
        summary=f"Every protein column, niches among them. {HOW}",
        needs=("proteins", "niches"),
        training_overlap=OVERLAP,
        notes=("Ahead of logistic_protein only where space tells what means do not.",),
    )

    def columns(self, data: ResponseInputs) -> NDArray[Any]:
        return data.proteins
