"""Control: stain transfer: the H&E's haematoxylin, with the same DAB everywhere."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from baselines.staining.parts.answer import OWN_LICENCE
from baselines.staining.parts.controls import pieces, refuse_no_patches
from baselines.staining.parts.stain_colours import DAB, EOSIN, HAEMATOXYLIN, mixed, stain_matrix, unmixed
from protocols.contract import Card, CropArray, RowArray
from protocols.staining.contract import PatchInputs, PatchTraining


class IhcStainTransfer:
    """Haematoxylin is scaled by the ratio of its training means (IHC over H&E); DAB and rest are training means."""

    card: ClassVar[Card] = Card(
        name="ihc_stain_transfer",
        title="Control: stain transfer",
        kind="control",
        task="staining",
        licence=OWN_LICENCE,
        training_overlap="none: fitted on the training fold alone",
        summary="Haematoxylin of the H&E seen as haematoxylin of the IHC; DAB constant at the training mean.",
        paper="Ruifrok and Johnston 2001 (stain colours)",
    )

    def fit(self, train: PatchTraining) -> None:
        refuse_no_patches(len(train), self.card.name)
        self._he, self._ihc = stain_matrix(HAEMATOXYLIN, EOSIN), stain_matrix(HAEMATOXYLIN, DAB)
        he, ihc = 0.0, np.zeros(3)
        for rows in pieces(len(train)):
            he += float(np.maximum(unmixed(train.he(rows), self._he)[..., 0], 0).mean(axis=(1, 2)).sum())
            ihc += unmixed(train.ihc(rows), self._ihc).mean(axis=(1, 2)).sum(axis=0)
        self._scale = max(float(ihc[0]), 0.0) / he if he > 0 else 0.0  # a training set of blank patches
        self._mean = ihc / len(train)

    def predict(self, test: PatchInputs, rows: RowArray) -> CropArray:
        answer = np.zeros((len(rows), test.pixels, test.pixels, 3), dtype=np.uint8)
        for at in pieces(len(rows)):
            amounts = unmixed(test.he(np.asarray(rows)[at]), self._he)
            amounts[..., 0] = np.maximum(amounts[..., 0], 0) * self._scale
            amounts[..., 1:] = self._mean[1:]
            answer[at] = mixed(amounts, self._ihc)
        return answer
