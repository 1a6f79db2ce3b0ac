"""Maps of one section: values on its tissue tiles, how the truth gets there from spots, and how two maps agree.

A map of g genes is float64 ``(t, g)``, one row a tissue tile, in the order of a :class:`TileGrid`. The chain from spots
to truth is SEQUOIA's (Methods, "Spatial visualization"; order of the last release): :func:`log_normalised` counts,
:func:`four_nearest` spots, :func:`median_3x3` of the truth alone, :func:`percentile_scores` of truth and prediction.

Undefined scores: :class:`MapScores` says which genes are defined; the policy is that of
:mod:`protocols.metrics.correlation` (constant truth: undefined; constant prediction: 0).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.errors import UserError
from protocols.metrics.correlation import pearson_per_gene, spearman_per_gene
from protocols.metrics.ranks import average_ranks

Float = NDArray[np.float64]
Int = NDArray[np.int64]
Bool = NDArray[np.bool_]

MIN_DISTINCT = 10
"""Fewest distinct values of a gene's filtered truth on a section for its map to count (SEQUOIA, Methods)."""
PERCENT = 100.0
"""Data range of percentile scores."""
_AT_ONCE = 2**22  # numbers held at once when windows are gathered
_AROUND = tuple((r, c) for r in (-1, 0, 1) for c in (-1, 0, 1))


@dataclass(frozen=True, eq=False)
class TileGrid:
    """Places of the tissue tiles of one section, int64 ``(t,)`` each, from 0, each place once."""

    row: Int
    column: Int

    def __post_init__(self) -> None:
        row, column = (np.asarray(side, dtype=np.int64) for side in (self.row, self.column))
        object.__setattr__(self, "row", row)
        object.__setattr__(self, "column", column)
        if row.ndim != 1 or row.shape != column.shape or not len(row):
            raise _wrong(f"rows {row.shape} and columns {column.shape}", "two vectors of one length, at least one tile")
        if min(row.min(), column.min()) < 0:
            raise _wrong("a negative row or column", "places counted from 0")
        if np.count_nonzero(self.tissue) != len(row):
            raise _wrong("two tiles at one place", "each place once")

    @cached_property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the whole grid, ``(h, w)``."""
        return int(self.row.max()) + 1, int(self.column.max()) + 1

    @cached_property
    def tissue(self) -> Bool:
        """Where tissue is, bool ``(h, w)``."""
        tissue = np.zeros(self.shape, dtype=bool)
        tissue[self.row, self.column] = True
        return tissue

    @cached_property
    def window(self) -> Int:
        """Tiles of the 3 x 3 window around each tile, row by row, int64 ``(t, 9)``; -1 where there is no tissue."""
        h, w = self.shape
        tile_at = np.full((h + 2, w + 2), -1, dtype=np.int64)
        tile_at[self.row + 1, self.column + 1] = np.arange(len(self.row))
        return np.stack([tile_at[self.row + 1 + r, self.column + 1 + c] for r, c in _AROUND], axis=1)

    def to_grid(self, values: NDArray[Any], fill: float = 0.0) -> Float:
        """``(t,)`` as ``(h, w)``, or ``(t, g)`` as ``(h, w, g)``; ``fill`` off tissue."""
        _check_tiles(values, self)
        dense = np.full((*self.shape, *values.shape[1:]), fill, dtype=np.float64)
        dense[self.row, self.column] = values
        return dense


@dataclass(frozen=True, eq=False)
class MapScores:
    """One score a gene, float64 ``(g,)``, 0.0 where ``defined (g,)`` is False: such a gene has no score at all."""

    value: Float
    defined: Bool

    def listed(self) -> tuple[float | None, ...]:
        """Scores as they are kept in a record: None where undefined."""
        return tuple(float(v) if d else None for v, d in zip(self.value, self.defined, strict=True))

    def median(self) -> float | None:
        """Over the defined genes; None without any."""
        return float(np.median(self.value[self.defined])) if self.defined.any() else None


def log_normalised(counts: Any, keep: Int | None = None) -> Float:
    """Counts ``(s spots, g_all)``, dense or scipy-sparse, scaled to the median total, log1p, z-scored per gene.

    As released (scanpy's ``normalize_total``, ``log1p``, ``scale`` with their defaults): the target is the median total
    of the spots that have counts, a spot without any stays zero; z-scores divide by the sample standard deviation
    (n - 1), and are not clipped. A constant gene is 0. ``keep`` names the columns to return: totals are over all.
    """
    total = np.asarray(counts.sum(axis=1, dtype=np.float64)).ravel()
    if not np.isfinite(total).all() or (len(total) and counts.min() < 0):
        raise UserError(
            "a count is negative or not finite",
            where="the counts of the spots",
            expected="raw counts",
            remedy="read the raw matrix, before any normalisation",
        )
    target = float(np.median(total[total > 0])) if (total > 0).any() else 1.0
    kept = counts if keep is None else counts[:, keep]
    dense = np.array(kept.toarray() if hasattr(kept, "toarray") else kept, dtype=np.float64)
    dense *= np.divide(target, total, out=np.ones_like(total), where=total > 0)[:, None]
    np.log1p(dense, out=dense)
    varies = (dense != dense[:1]).any(axis=0)  # told before centring, which leaves rounding
    dense -= dense.mean(axis=0)
    spread = np.sqrt(np.einsum("ij,ij->j", dense, dense) / max(len(dense) - 1, 1))
    scaled: Float = np.divide(dense, spread, out=np.zeros_like(dense), where=varies & (spread > 0))
    return scaled


def four_nearest(spot_xy: Float, spot_values: NDArray[Any], tile_xy: Float, k: int = 4) -> Float:
    """Mean of each tile's ``k`` nearest spots by Euclidean distance: ``(s, 2), (s, g), (t, 2) -> (t, g)``.

    Both sets of points are in one unit. Which point of the tile is meant is the caller's to say: its centre is the
    standard; the released code takes its top-left corner. Of equally near spots (to 1e-10 of the squared distance) the
    first ones count.
    """
    if len(spot_xy) < k:
        raise UserError(
            f"{len(spot_xy)} spots", where="the section", expected=f"at least {k}", remedy="leave the section out"
        )
    nearest = _nearest(np.asarray(spot_xy, np.float64), np.asarray(tile_xy, np.float64), k)
    total = np.zeros((len(tile_xy), spot_values.shape[1]))
    for column in nearest.T:
        total += spot_values[column]
    return total / k


def median_3x3(values: Float, grid: TileGrid) -> Float:
    """Median over the tiles present in the 3 x 3 window, ``(t, g)``; a tile with fewer than 5 of 9 keeps its own."""
    _check_tiles(values, grid)
    filtered = np.array(values, dtype=np.float64)
    present = (grid.window >= 0).sum(axis=1)
    for size in range(5, 10):  # tiles whose windows are equally full share one array without holes
        tiles = np.flatnonzero(present == size)
        window = grid.window[tiles]
        members = window[window >= 0].reshape(-1, size)
        for genes in _gene_chunks(values.shape[1], members.size):
            filtered[tiles, genes] = np.median(values[members, genes], axis=1)
    return filtered


def neighbour_mean(values: Float, grid: TileGrid) -> Float:
    """Mean of the tiles present among the 8 neighbours, ``(t, g)``: a control that looks at the truth, not at itself.

    A tile without neighbours gets the section's mean.
    """
    _check_tiles(values, grid)
    neighbours = np.delete(grid.window, 4, axis=1)
    total = np.zeros(values.shape)
    for column in neighbours.T:
        there = column >= 0
        total[there] += values[column[there]]
    count = (neighbours >= 0).sum(axis=1)[:, None]
    mean: Float = np.where(count > 0, total / np.maximum(count, 1), values.mean(axis=0))
    return mean


def percentile_scores(values: Float) -> Float:
    """Average rank over the number of tiles, times 100, per gene: ``(t, g)`` in (0, 100]; ties share one score."""
    return average_ranks(values) * (PERCENT / len(values))


def distinct_values(values: NDArray[Any]) -> Int:
    """How many different values each gene has, int64 ``(g,)``; see :data:`MIN_DISTINCT`."""
    ordered = np.sort(values, axis=0)
    steps: Int = np.count_nonzero(ordered[1:] != ordered[:-1], axis=0).astype(np.int64)
    return steps + 1


def pearson_of_maps(predicted: Float, truth: Float) -> MapScores:
    """Pearson r per gene over the tiles, both ``(t, g)``."""
    return _defined(pearson_per_gene(_whole(truth), predicted))


def spearman_of_maps(predicted: Float, truth: Float) -> MapScores:
    """Spearman's rank correlation per gene over the tiles, both ``(t, g)``."""
    return _defined(spearman_per_gene(_whole(truth), predicted))


def ssim_of_maps(predicted: Float, truth: Float, grid: TileGrid, *, data_range: float = PERCENT) -> MapScores:
    """Structural similarity (Wang et al. 2004) per gene: its mean over the square windows that lie wholly on tissue.

    Windows are uniform, 7 x 7 tiles, or the largest smaller odd size (5, 3) of which one fits; with none, no gene is
    defined. A window that touches background does not count: zeros on both sides would look like agreement.
    ``data_range`` is that of percentile scores. Constant maps are defined. Settings are scikit-image's defaults.
    """
    _check_tiles(predicted, grid)
    _check_tiles(truth, grid)
    side, inside = _windows_on_tissue(grid)
    genes = truth.shape[1]
    if not side:
        return MapScores(np.zeros(genes), np.zeros(genes, dtype=bool))
    structural_similarity: Any = import_module("skimage.metrics").structural_similarity
    value = np.empty(genes)
    for gene in range(genes):
        _, local = structural_similarity(
            grid.to_grid(predicted[:, gene]),
            grid.to_grid(_whole(truth[:, gene])),
            win_size=side,
            data_range=data_range,
            full=True,
        )
        value[gene] = local[inside].mean()
    return MapScores(value, np.ones(genes, dtype=bool))


def _windows_on_tissue(grid: TileGrid) -> tuple[int, Bool]:
    """Side of the windows (0: none fits), and the tiles at their centres, bool ``(h, w)``."""
    from scipy.ndimage import binary_erosion

    for side in (7, 5, 3):
        inside = np.asarray(binary_erosion(grid.tissue, np.ones((side, side), dtype=bool)), dtype=bool)
        if inside.any():
            return side, inside
    return 0, np.zeros(grid.shape, dtype=bool)


def _nearest(spots: Float, tiles: Float, k: int) -> Int:
    """The ``k`` nearest spots of each tile, nearest first, then by index: int64 ``(t, k)``."""
    from scipy.spatial import cKDTree

    wide = min(len(spots), k + 8)
    _, found = cKDTree(spots).query(tiles, k=wide)
    candidates = np.asarray(found, dtype=np.int64).reshape(len(tiles), wide)
    nearest, beyond = _first(spots, tiles, candidates, k)
    # A tree cuts ties anywhere: tiles whose ties reach beyond the candidates look at every spot.
    for tile in np.flatnonzero(beyond) if wide < len(spots) else ():
        nearest[tile] = _first(spots, tiles[tile : tile + 1], np.arange(len(spots))[None, :], k)[0][0]
    return nearest


def _first(spots: Float, tiles: Float, candidates: Int, k: int) -> tuple[Int, Bool]:
    """The ``k`` first of each tile's candidates, and whether the last candidate ties with the k-th spot."""
    squared = ((spots[candidates] - tiles[:, None, :]) ** 2).sum(axis=2)
    kth = np.partition(squared, k - 1, axis=1)[:, k - 1 : k]
    near = np.round(squared / np.where(kth > 0, kth, 1.0), 10)  # distances that differ by rounding are equal
    order = np.lexsort((candidates, near), axis=1)
    chosen = np.take_along_axis(candidates, order[:, :k], axis=1)
    limit, last = (np.take_along_axis(near, order[:, at : at + 1], axis=1)[:, 0] for at in (k - 1, order.shape[1] - 1))
    return chosen, last <= limit


def _gene_chunks(genes: int, rows: int) -> Iterator[slice]:
    step = max(1, _AT_ONCE // max(1, rows))
    for start in range(0, genes, step):
        yield slice(start, start + step)


def _defined(scores: Float) -> MapScores:
    defined = ~np.isnan(scores)
    return MapScores(np.where(defined, scores, 0.0), defined)


def _whole(truth: Float) -> Float:
    """The truth, refused if a tile has no value: the median filter and percentiles would already be wrong."""
    if not np.isfinite(truth).all():
        raise _wrong("a true value is NaN or infinite", "finite values on every tissue tile")
    return truth


def _check_tiles(values: NDArray[Any], grid: TileGrid) -> None:
    if values.ndim not in (1, 2) or len(values) != len(grid.row):
        raise _wrong(f"values {values.shape}", f"({len(grid.row)} tiles,) or ({len(grid.row)} tiles, genes)")


def _wrong(what: str, expected: str) -> UserError:
    return UserError(what, where="the section's map", expected=expected, remedy="check the section's tiles")
