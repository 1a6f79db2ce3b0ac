"""Control: the H&E patch itself, unchanged."""

from __future__ import annotations

from typing import ClassVar

from baselines.staining.parts.answer import OWN_LICENCE
from protocols.contract import Card, CropArray, RowArray
from protocols.staining.contract import PatchInputs, PatchTraining


class IhcIdentity:
    card: ClassVar[Card] = Card(
        name="ihc_identity",
        title="Control: identity",
        kind="control",
        task="staining",
        licence=OWN_LICENCE,
        training_overlap="none: not fitted",
        summary="Answers with its input: what structure alone, in the wrong colours, is worth.",
    )

    def fit(self, train: PatchTraining) -> None:
        pass

    def predict(self, test: PatchInputs, rows: RowArray) -> CropArray:
        return test.he(rows).copy()
