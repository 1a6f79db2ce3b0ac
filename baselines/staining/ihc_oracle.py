"""Oracle: the phantom's true IHC image, moved onto the H&E where the jitter is known."""

from __future__ import annotations

from typing import ClassVar

from baselines.staining.parts.answer import OWN_LICENCE
from protocols.contract import Card, CropArray, RowArray
from protocols.staining.contract import PatchInputs, PatchTraining


class IhcOracle:
    card: ClassVar[Card] = Card(
        name="ihc_oracle",
        title="Oracle: true IHC",
        kind="oracle",
        task="staining",
        licence=OWN_LICENCE,
        training_overlap="none: knows the truth itself",
        summary="What remains below a perfect score is misregistration of the scanned pair.",
        needs=("oracle",),
    )

    def fit(self, train: PatchTraining) -> None:
        pass

    def predict(self, test: PatchInputs, rows: RowArray) -> CropArray:
        return test.oracle(rows)
