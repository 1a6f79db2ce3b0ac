"""How alike are neighbouring tiles of a map? Moran's I (Moran, Biometrika 1950; Cliff and Ord, 1981).

It says how smooth a map is, not whether it is right: a model that answers smoother maps than the truth's has a higher I
than the truth. Neighbours are queen's: the up to eight tiles that touch, corners included. Weights are binary, every
touching pair counts alike, so that ragged borders weigh no more than the inside.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from protocols.errors import UserError
from protocols.metrics.spatial_maps import MapScores, TileGrid

Float = NDArray[np.float64]

ROUNDING = 8 * float(np.finfo(np.float64).eps)
"""A relative spread below this is constant, as in :mod:`protocols.metrics.correlation`."""


def morans_i(values: Float, grid: TileGrid) -> MapScores:
    """I = (t / sum of weights) sum over pairs z_i z_j / sum of z_i², z the deviations from the mean of maps ``(t, g)``.

    -1 / (t - 1) is expected of a map without order (tiles permuted), 1 is near for a smooth one, and I may lie a little
    outside of -1 to 1. Undefined for a constant map, and for every map if no tile touches another. A tile without
    neighbours counts in the mean and the sum of squares.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 2 or len(values) != len(grid.row) or not np.isfinite(values).all():
        raise UserError(
            f"values {values.shape}, {np.count_nonzero(~np.isfinite(values))} of them NaN or infinite",
            where="Moran's I",
            expected=f"finite values ({len(grid.row)} tiles, genes)",
            remedy="use the section's own grid",
        )
    neighbours = np.delete(grid.window, 4, axis=1)
    pairs = int(np.count_nonzero(neighbours >= 0))
    z = values - values.mean(axis=0)
    defined = (z.std(axis=0) > ROUNDING * np.sqrt(np.mean(values**2, axis=0))) & (pairs > 0)
    z = np.where(defined, z, 0.0)
    around = np.zeros_like(z)
    for column in neighbours.T:
        there = column >= 0
        around[there] += z[column[there]]
    squares = np.where(defined, (z * z).sum(axis=0), 1.0)
    return MapScores((z * around).sum(axis=0) / squares * (len(z) / max(pairs, 1)), defined)
