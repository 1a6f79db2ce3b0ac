"""Control: how much of each stain there is, without any shape."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from baselines.expression.parts.ridge import MaskedRidge
from protocols.contract import Card, CropArray, FloatArray, Inputs, TrainingData

STEP = 2
"""Every second pixel of every second line: the statistics hardly change and cost a quarter."""

QUANTILES = (0.05, 0.25, 0.75, 0.95)
BATCH = 256

_STAINS = np.array([[0.650, 0.704, 0.286], [0.072, 0.990, 0.105], [0.268, 0.570, 0.776]])
"""Optical density of haematoxylin, eosin and DAB in red, green, blue (Ruifrok and Johnston 2001)."""

_UNMIX = np.linalg.inv(_STAINS / np.linalg.norm(_STAINS, axis=1, keepdims=True)).astype(np.float32)
_OPTICAL_DENSITY = -np.log10(np.maximum(np.arange(256), 1) / 255.0).astype(np.float32)


class StainStatistics:
    """Ridge on mean, SD and quantiles of the haematoxylin and eosin density over the crop.

    No cell types, no shapes, no neighbourhood: a model that reads morphology must do better than this.
    """

    view: ClassVar[float] = 1.0
    """Share of the crop's side that is looked at, around the centre."""

    card: ClassVar[Card] = Card(
        name="stain_statistics",
        title="Control: stain statistics only",
        kind="control",
        summary="Mean, SD and four quantiles of haematoxylin and eosin optical density, then ridge.",
        paper="stain vectors: Ruifrok and Johnston, Anal Quant Cytol Histol 2001",
        licence="BSD-3-Clause",
        training_overlap="none",
    )

    def fit(self, train: TrainingData) -> None:
        self._ridge = MaskedRidge().fit(_statistics(train, self.view), train.targets)

    def predict(self, test: Inputs) -> FloatArray:
        return self._ridge.predict(_statistics(test, self.view))


def _statistics(data: Inputs, view: float) -> FloatArray:
    features = np.empty((len(data), 2 * (2 + len(QUANTILES))), dtype=np.float32)
    for rows, crops in data.crop_batches(BATCH):
        margin = round(crops.shape[1] * (1.0 - view) / 2.0)
        features[rows] = crop_statistics(crops[:, margin : crops.shape[1] - margin, margin : crops.shape[2] - margin])
    return features


def crop_statistics(crops: CropArray) -> FloatArray:
    """``(k, 12)``: for haematoxylin, then eosin: mean, SD, and the quantiles (nearest rank) of the optical density."""
    density = _OPTICAL_DENSITY[crops[:, ::STEP, ::STEP]].reshape(-1, 3) @ _UNMIX[:, :2]
    per_stain: NDArray[np.float32] = np.ascontiguousarray(density.reshape(len(crops), -1, 2).transpose(0, 2, 1))
    ranks = [round(q * (per_stain.shape[-1] - 1)) for q in QUANTILES]
    quantiles = np.partition(per_stain, ranks, axis=-1)[..., ranks]
    moments = np.stack([per_stain.mean(axis=-1), per_stain.std(axis=-1)], axis=-1)
    return np.concatenate([moments, quantiles], axis=-1).reshape(len(crops), -1)
