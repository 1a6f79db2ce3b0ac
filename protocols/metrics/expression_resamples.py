"""Patient resamples of the mean over genes of Pearson r within folds: intervals and paired ranks of bulk expression."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from protocols.seeds import generator

Float = NDArray[np.float64]
RESAMPLES = 500
_GENES_AT_ONCE = 512
_SMALLEST = 1e-12
"""A variance below this share of the mean square is rounding: the column is constant in the resample."""


def mean_r_replicates(
    folds: Sequence[tuple[str, NDArray[np.floating], NDArray[np.floating]]], seed: int, resamples: int = RESAMPLES
) -> Float:
    """``(resamples,)``: mean over genes of the mean over folds of r, patients drawn with replacement inside each fold.

    ``folds``: name, truth and prediction ``(n, g)``, one row a patient. Every model of a cohort gets the same draws.
    As in the headline, a fold in which a gene's truth is constant does not count for it; a gene that is constant in
    truth or prediction within a resample alone counts as r = 0 there.
    """
    genes = folds[0][1].shape[1]
    drawn = []
    for name, truth, _ in folds:
        n = len(truth)
        drawn.append(generator(seed, "bulk resamples", name, n).multinomial(n, np.full(n, 1 / n), resamples) / n)
    sums = np.zeros(resamples)
    for start in range(0, genes, _GENES_AT_ONCE):
        part = slice(start, min(start + _GENES_AT_ONCE, genes))
        total, counted = np.zeros((resamples, part.stop - start)), np.zeros(part.stop - start)
        for weights, (_, truth, predicted) in zip(drawn, folds, strict=True):
            x, y = np.asarray(truth[:, part], float), np.asarray(predicted[:, part], float)
            varies = (x != x[:1]).any(axis=0)
            total += np.where(varies, _weighted_r(weights, x, y), 0.0)
            counted += varies
        sums += (total / np.maximum(counted, 1)).sum(axis=1)
    return np.asarray(sums / genes)


def _weighted_r(weights: Float, x: Float, y: Float) -> Float:
    """Weighted r, ``(resamples, genes)``."""
    # Centred first: the weighted moments then lose no digits to large means.
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    mx, my = weights @ x, weights @ y
    vx, vy = weights @ x**2 - mx**2, weights @ y**2 - my**2
    cov = weights @ (x * y) - mx * my
    real = (vx > _SMALLEST * (x**2).mean(axis=0)) & (vy > _SMALLEST * (y**2).mean(axis=0)) & (vx > 0) & (vy > 0)
    return np.asarray(np.where(real, cov / np.sqrt(np.where(real, vx * vy, 1.0)), 0.0))
