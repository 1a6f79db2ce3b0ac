"""Is a map's correlation more than two smooth maps have by chance? Toroidal shifts of the prediction as the null.

Neighbouring tiles are alike, so t tiles are far fewer independent observations, and a t-test of r is far too sure. A
shift of the whole prediction on the torus of its bounding rectangle keeps its values and its spatial autocorrelation
(its Moran's I, but for the seam and for what falls off tissue), and breaks its tie to the truth: Lotwick & Silverman,
J. R. Stat. Soc. B 1982; Upton & Fingleton 1985.

What it holds: of independent smooth maps on a disc, 2 to 6 in 100 get p < .05 (a t-test: 30 to 43). Its limit: where
tissue fills the rectangle and maps vary over a fifth of its side or more, the seam tears them, and 8 to 12 in 100 do.

All shifts are taken at once: the sums over tiles that are tissue on both sides are circular cross-correlations, six
products of Fourier transforms.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocols.errors import UserError
from protocols.metrics.spatial_maps import TileGrid, pearson_of_maps

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]

LEAST_OVERLAP = 0.5
"""Share of the tissue tiles that a shifted prediction must meet for the shift to count."""
FLAT = 1e-9
"""Variance of the overlap, in units of the whole map's, below which one side is constant there."""
TIED = 1e-9
"""Correlations this near are equal, and count against the model."""
_AT_ONCE = 2**22  # numbers of one array of shifts


@dataclass(frozen=True, eq=False)
class ShiftNull:
    """Per gene ``(g,)``: Pearson ``r``, its ``p`` and whether r is ``defined``; undefined: r = 0, p = 1.

    ``n_shifts``: shifts with enough overlap, the same for all genes. The least p is 1 / (1 + n_shifts).
    """

    r: Float
    p: Float
    n_shifts: int
    defined: Bool


def toroidal_shift_null(predicted: Float, truth: Float, grid: TileGrid) -> ShiftNull:
    """One-sided p of every gene's map, both ``(t, g)``: (1 + #{shift: r of the shift >= r}) / (1 + shifts).

    Every non-zero shift of the bounding rectangle at which prediction and truth share at least half of the tiles. Where
    one side is constant over the overlap, the shift's r is 0. Without any such shift p is 1: nothing is shown.
    """
    observed = pearson_of_maps(predicted, truth)
    if len(predicted) != len(grid.row):
        raise UserError(
            f"maps of {len(predicted)} tiles",
            where="toroidal shifts",
            expected=f"{len(grid.row)} tiles, as the grid",
            remedy="use the section's own grid",
        )
    enough = shift_overlap(grid) >= LEAST_OVERLAP * len(grid.row)
    enough[0, 0] = False
    shifts = int(np.count_nonzero(enough))
    p = np.ones(len(observed.value))
    step = max(1, _AT_ONCE // enough.size)
    for start in range(0, len(p) if shifts else 0, step):
        genes = slice(start, start + step)
        r = shifted_correlations(predicted[:, genes], truth[:, genes], grid)[enough]
        at_least = np.count_nonzero(r >= observed.value[genes] - TIED, axis=0)
        p[genes] = (1 + at_least) / (1 + shifts)
    return ShiftNull(observed.value, np.where(observed.defined, p, 1.0), shifts, observed.defined)


def shift_overlap(grid: TileGrid) -> Float:
    """Tiles that a shift by (dy, dx) leaves on tissue, ``(h, w)`` of the bounding rectangle; whole numbers."""
    from scipy.fft import irfft2, rfft2

    (mask,) = _rectangles(grid, np.ones((len(grid.row), 1)))
    spectrum = rfft2(mask)
    overlap: Float = np.rint(irfft2(spectrum * spectrum.conj(), s=mask.shape))
    return overlap


def shifted_correlations(predicted: Float, truth: Float, grid: TileGrid) -> Float:
    """Pearson r of every shift of the prediction, ``(h, w, g)`` of the bounding rectangle; ``[0, 0]`` is unshifted.

    At ``[dy, dx]`` the prediction at (row, column) meets the truth at (row + dy, column + dx), modulo (h, w).
    """
    from scipy.fft import irfft2, rfft2

    x, y, mask = (
        _rectangles(grid, side) for side in (_standard(predicted), _standard(truth), np.ones((len(truth), 1)))
    )
    size = mask.shape[1:]
    fx, fxx, fy, fyy, fm = (rfft2(each) for each in (x, x * x, y, y * y, mask))

    def summed(of_truth: NDArray[np.complex128], of_prediction: NDArray[np.complex128]) -> Float:
        sums: Float = irfft2(of_truth * of_prediction.conj(), s=size)
        return sums

    n = np.maximum(np.rint(summed(fm, fm)), 1.0)
    sum_x, sum_y = summed(fm, fx), summed(fy, fm)
    var_x = summed(fm, fxx) - sum_x * sum_x / n
    var_y = summed(fyy, fm) - sum_y * sum_y / n
    covariance = summed(fy, fx) - sum_x * sum_y / n
    varies = (var_x > FLAT * n) & (var_y > FLAT * n)
    scale = np.sqrt(np.where(varies, var_x, 1.0)) * np.sqrt(np.where(varies, var_y, 1.0))
    r = np.where(varies, np.clip(covariance / scale, -1.0, 1.0), 0.0)
    return np.moveaxis(r, 0, -1)


def _standard(values: Float) -> Float:
    """Mean 0, variance 1 over the tiles (constant: 0), so that transforms lose no digits to an offset."""
    values = np.asarray(values, dtype=np.float64)
    varies = (values != values[:1]).any(axis=0)
    centred = values - values.mean(axis=0)
    spread = centred.std(axis=0)
    standard: Float = np.divide(centred, spread, out=np.zeros_like(centred), where=varies & (spread > 0))
    return standard


def _rectangles(grid: TileGrid, values: Float) -> Float:
    """``(t, g)`` as ``(g, h, w)`` on the rectangle that bounds the tissue; 0 off tissue."""
    row, column = grid.row - grid.row.min(), grid.column - grid.column.min()
    dense = np.zeros((values.shape[1], int(row.max()) + 1, int(column.max()) + 1))
    dense[:, row, column] = values.T
    return dense
