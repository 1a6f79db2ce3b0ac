"""Maps of units that lie on a lattice (tiles): where each stands, and the structural similarity of two such maps.

The windows are those of :func:`protocols.metrics.spatial_maps.ssim_of_maps`: uniform, 7 x 7 tiles or the largest
smaller odd size that fits, and only windows that lie wholly on tiles count. A missing tile is therefore in no window:
it is neither filled nor taken for agreement.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from protocols.errors import UserError
from protocols.metrics.correlation import Float64Array, Values
from protocols.metrics.spatial_maps import TileGrid, ssim_of_maps

TOLERANCE = 0.02
"""By how much of a step a tile may lie off its place: positions are float32."""
MOST_PLACES = 64
"""Places of a grid a tile, at most: positions that happen to be whole multiples of a tiny step are no lattice."""


def lattice_of(xy: NDArray[np.floating]) -> TileGrid | None:
    """The grid of tiles with centres ``xy (n, 2)`` (x, y in one unit), or None where they lie on none.

    The step along each axis is the smallest distance between two of its coordinates; every tile must lie a whole number
    of steps from the first, and no two at one place.
    """
    if len(xy) < 2:
        return None
    places = [_places(np.asarray(xy[:, axis], dtype=np.float64)) for axis in (0, 1)]
    column, row = places
    if column is None or row is None:
        return None
    if (int(column.max()) + 1) * (int(row.max()) + 1) > MOST_PLACES * len(xy):
        return None
    try:
        return TileGrid(row, column)
    except UserError:  # two tiles at one place
        return None


def ssim_per_gene(predicted: Values, truth: Values, grid: TileGrid, span: float | None) -> Float64Array:
    """Structural similarity of each gene's two maps, both ``(n, G)`` in the grid's order -> ``(G,)``, NaN undefined.

    ``span``: the range of the values, for every gene; None: of each gene the range of its true map, and a constant one
    has no score. Undefined, too: a gene with a true value missing, and every gene where no window fits.
    """
    value = np.full(truth.shape[1], np.nan)
    for gene in range(truth.shape[1]):
        true, guess = truth[:, gene].astype(np.float64), predicted[:, gene].astype(np.float64)
        if not np.isfinite(true).all():
            continue
        own = float(np.ptp(true)) if span is None else span
        if own > 0:
            found = ssim_of_maps(guess[:, None] / own, true[:, None] / own, grid, data_range=1.0)
            value[gene] = found.value[0] if found.defined[0] else np.nan
    return value


def _places(values: NDArray[np.float64]) -> NDArray[np.int64] | None:
    """Whole steps from the smallest value; None where there are none such."""
    steps = np.diff(np.unique(values))
    if not len(steps):
        return np.zeros(len(values), dtype=np.int64)
    place = (values - values.min()) / steps.min()
    whole = np.round(place)
    return None if np.abs(place - whole).max() > TOLERANCE else whole.astype(np.int64)
