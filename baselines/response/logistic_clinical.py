"""Reference: logistic regression on the clinical variables that a cohort has."""

from __future__ import annotations

from typing import Any, ClassVar

from numpy.typing import NDArray

from baselines.response.parts.logistic import HOW, LICENCE, OVERLAP, Logistic
from protocols.contract import Card
from protocols.response.contract import ResponseInputs


class LogisticClinical(Logistic):
    card: ClassVar[Card] = Card(
        name="logistic_clinical",
        title="Reference: logistic regression on clinical variables",
        task="response",
        licence=LICENCE,
        summary=f"Every clinical column, PD-L1 and TMB among them where recorded. {HOW}",
        paper="Hosmer & Lemeshow, Applied Logistic Regression, 2000; scikit-learn",
        needs=("clinical",),
        training_overlap=OVERLAP,
        notes=("What a hospital knows without a virtual protein: a model that does not beat it adds nothing.",),
    )

    def columns(self, data: ResponseInputs) -> NDArray[Any]:
        return data.clinical
