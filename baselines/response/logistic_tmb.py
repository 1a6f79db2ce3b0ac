"""Reference: TMB alone, as the biomarker is used."""

from __future__ import annotations

from typing import Any, ClassVar

from numpy.typing import NDArray

from baselines.response.parts.logistic import HOW, LICENCE, OVERLAP, Logistic
from baselines.response.parts.published import biomarker
from protocols.contract import Card
from protocols.response.contract import ResponseInputs, biomarker_columns


class LogisticTMB(Logistic):
    card: ClassVar[Card] = Card(
        name="logistic_tmb",
        title="Reference: TMB alone",
        task="response",
        licence=LICENCE,
        summary=f"The clinical columns that begin with tmb. {HOW}",
        needs=("clinical", "tmb"),
        training_overlap=OVERLAP,
        published=(biomarker(0.59, "TMB"),),
    )

    def columns(self, data: ResponseInputs) -> NDArray[Any]:
        return data.clinical[:, biomarker_columns(data.clinical_features, "tmb")]
