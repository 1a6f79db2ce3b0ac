"""Control: where a cell lies, without looking at it."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from baselines.expression.parts.ridge import MaskedRidge
from protocols.contract import Card, FloatArray, Inputs, TrainingData

GRID = 6
"""Radial basis functions per side of a slide."""


class Coordinates:
    """Ridge on position: x, y, their squares and product, a 6 x 6 grid of Gaussians, and the slide's name.

    Coordinates run from 0 to 1 over a slide's training rows. A slide that was never trained on gets the average frame
    of those that were (so that an answer depends on its own row alone) and no name (all zeros). What this reaches is
    the part of r that smooth expression and neighbouring blocks give away for nothing.
    """

    card: ClassVar[Card] = Card(
        name="coordinates",
        title="Control: coordinates only",
        kind="control",
        summary="Position within the slide (polynomial and radial basis functions) and slide identity, then ridge.",
        licence="BSD-3-Clause",
        training_overlap="none",
    )

    def fit(self, train: TrainingData) -> None:
        self._slides = np.unique(train.slide)
        self._frames = {str(s): _frame(train.xy_um[train.slide == s]) for s in self._slides}
        lows, extents = zip(*self._frames.values(), strict=True)
        self._average = np.mean(lows, axis=0), np.mean(extents, axis=0)
        self._ridge = MaskedRidge().fit(self._features(train), train.targets)

    def predict(self, test: Inputs) -> FloatArray:
        return self._ridge.predict(self._features(test))

    def _features(self, data: Inputs) -> NDArray[np.float64]:
        unit = np.zeros((len(data), 2))
        for slide in np.unique(data.slide):
            rows = data.slide == slide
            low, extent = self._frames.get(str(slide), self._average)
            unit[rows] = (data.xy_um[rows].astype(np.float64) - low) / extent
        one_hot = (data.slide[:, None] == self._slides[None, :]).astype(np.float64)
        return np.concatenate([_position_features(np.clip(unit, -0.5, 1.5)), one_hot], axis=1)


def _frame(xy: FloatArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    low = xy.min(axis=0).astype(np.float64)
    return low, np.maximum(xy.max(axis=0) - low, 1e-6)


def _position_features(unit: NDArray[np.float64]) -> NDArray[np.float64]:
    x, y = unit.T
    ticks = np.linspace(0, 1, GRID)
    centre_x, centre_y = (axis.ravel() for axis in np.meshgrid(ticks, ticks))
    squared = (x[:, None] - centre_x) ** 2 + (y[:, None] - centre_y) ** 2
    bumps = np.exp(-squared / (2 * (1 / (GRID - 1)) ** 2))
    return np.concatenate([np.stack([x, y, x * y, x**2, y**2], axis=1), bumps], axis=1)
