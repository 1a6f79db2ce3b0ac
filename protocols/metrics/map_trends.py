"""The trend of a map, and the patterns beyond it: polynomials on each piece of tissue, then eigenvectors of distance.

Two maps that both rise from one side of the tissue to the other correlate, however little they have in common. The
trend here is a quadratic surface on each connected piece (corners connect), so that differences between pieces and
gradients within them are out of what is left. The patterns are Moran's eigenvector maps on distances (Dray, Legendre
and Peres-Neto, Ecol. Model. 2006): eigenvectors of a matrix of distances whose rows and columns are rid of the trend,
here of thin-plate distances d² log d (Wahba 1990), from broad patterns to fine ones. Smooth fields have nearly
uncorrelated coefficients on them, on any outline, because nothing is asked of the border.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from protocols.metrics.spatial_maps import TileGrid

Float = NDArray[np.float64]
Int = NDArray[np.int64]

DEGREE = 2
MOST_PLACES = 2500
"""Eigenvectors are of a dense matrix: sections with more tiles are averaged in blocks of 2 x 2 tiles, 3 x 3, ..."""
KEPT = 4
"""Sections whose patterns a process remembers: 50 MB each at most."""
STRETCH = 1.02
"""Rows count as this much farther apart: on symmetric tissue, patterns would else be tied, their choice rounding."""


@dataclass(frozen=True, eq=False)
class Patterns:
    """``trend (p, k)`` and ``patterns (p, p - k)``, orthonormal columns that together span all maps of p places.

    ``block (t,)``: the place of each tile; the tile itself unless a section is too large.
    """

    trend: Float
    patterns: Float
    block: Int

    def places(self, values: Float) -> Float:
        """Maps of tiles ``(t, g)`` as means over each place, ``(p, g)``."""
        places = len(self.trend)
        if places == len(values):
            return values
        sums = np.zeros((places, values.shape[1]))
        np.add.at(sums, self.block, values)
        return sums / np.bincount(self.block, minlength=places)[:, None]


def patterns_of(grid: TileGrid, most: int | None = None) -> Patterns:
    """Trend and patterns of a section's tiles. At most 5 s of one core and 0.5 GB, for 2,116 tiles 2 s; once for all
    models that a process scores."""
    row, column = (np.asarray(side, dtype=np.int64) for side in (grid.row, grid.column))
    return _patterns_of(row.tobytes(), column.tobytes(), MOST_PLACES if most is None else most)


@lru_cache(maxsize=KEPT)
def _patterns_of(rows: bytes, columns: bytes, most: int) -> Patterns:
    grid = TileGrid(np.frombuffer(rows, dtype=np.int64), np.frombuffer(columns, dtype=np.int64))
    coarse, block = blocks(grid, most)
    trend = trend_basis(coarse)
    place = np.stack([STRETCH * coarse.row, coarse.column], axis=1).astype(np.float64)
    squared = ((place[:, None] - place) ** 2).sum(axis=2)
    distances = 0.5 * squared * np.log(np.where(squared > 0, squared, 1.0))
    distances -= trend @ (trend.T @ distances)
    distances -= (distances @ trend) @ trend.T
    # Beyond the trend all eigenvalues are positive: the trend is put below them, to be cut off.
    _, vectors = np.linalg.eigh((distances + distances.T) / 2 - trend @ trend.T)
    return Patterns(trend, vectors[:, : trend.shape[1] - 1 : -1], block)


def trend_basis(grid: TileGrid, degree: int = DEGREE) -> Float:
    """Orthonormal polynomials of each connected piece up to ``degree``, ``(t, k)``; small pieces have fewer."""
    from scipy.ndimage import label

    labels, pieces = label(grid.tissue, np.ones((3, 3)))
    of = labels[grid.row, grid.column] - 1
    columns = []
    for piece in range(pieces):
        tiles = np.flatnonzero(of == piece)
        y, x = (_centred(side[tiles]) for side in (grid.row, grid.column))
        powers = np.stack([y**k * x ** (total - k) for total in range(degree + 1) for k in range(total + 1)], axis=1)
        left, size, _ = np.linalg.svd(powers, full_matrices=False)
        kept = left[:, size > 1e-9 * size[0]]
        whole = np.zeros((len(of), kept.shape[1]))
        whole[tiles] = kept
        columns.append(whole)
    return np.concatenate(columns, axis=1)


def blocks(grid: TileGrid, most: int) -> tuple[TileGrid, Int]:
    """The grid itself, or the finest grid of square blocks of its tiles with at most ``most`` places; each tile's."""
    side = 1
    while True:
        block = np.stack([grid.row // side, grid.column // side], axis=1)
        found, of = np.unique(block, axis=0, return_inverse=True)
        if side == 1 and len(found) <= most:
            return grid, np.arange(len(grid.row))
        if len(found) <= most:
            return TileGrid(found[:, 0], found[:, 1]), of.reshape(-1).astype(np.int64)
        side += 1


def _centred(places: Int) -> Float:
    """About 0, at most 1 off it."""
    centred = places - places.mean()
    return np.asarray(centred / max(float(np.abs(centred).max()), 1.0))
