"""Control: the mean IHC image of the training patches, whatever the H&E shows."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from baselines.staining.parts.answer import OWN_LICENCE
from baselines.staining.parts.controls import pieces, refuse_no_patches
from protocols.contract import Card, CropArray, RowArray
from protocols.errors import UserError
from protocols.staining.contract import PatchInputs, PatchTraining


class IhcMean:
    card: ClassVar[Card] = Card(
        name="ihc_mean",
        title="Control: mean IHC",
        kind="control",
        task="staining",
        licence=OWN_LICENCE,
        training_overlap="none: fitted on the training fold alone",
        summary="Each pixel's mean over all training patches.",
    )

    def fit(self, train: PatchTraining) -> None:
        refuse_no_patches(len(train), self.card.name)
        total = np.zeros((train.pixels, train.pixels, 3))
        for rows in pieces(len(train)):
            total += train.ihc(rows).sum(axis=0, dtype=np.float64)
        self._mean = np.round(total / len(train)).astype(np.uint8)

    def predict(self, test: PatchInputs, rows: RowArray) -> CropArray:
        if test.pixels != len(self._mean):
            raise UserError(
                f"patches of {test.pixels} px", where=self.card.name, expected=f"{len(self._mean)} px, as in training",
                remedy="use one tile size",
            )  # fmt: skip
        return np.repeat(self._mean[None], len(rows), axis=0)
