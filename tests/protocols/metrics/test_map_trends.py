"""Trends and patterns of a section: exact where they can be, orthonormal, and the same however tissue lies."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from protocols.metrics.map_trends import blocks, patterns_of, trend_basis
from protocols.metrics.morans_i import morans_i
from protocols.metrics.spatial_maps import TileGrid
from protocols.seeds import generator


def full(height: int, width: int) -> TileGrid:
    row, column = np.indices((height, width)).reshape(2, -1)
    return TileGrid(row, column)


def pieces(*boxes: tuple[int, int, int, int]) -> TileGrid:
    """Boxes of (row, column, height, width)."""
    tissue = np.zeros((30, 30), dtype=bool)
    for r, c, h, w in boxes:
        tissue[r : r + h, c : c + w] = True
    return TileGrid(*np.nonzero(tissue))


def without_trend(values: np.ndarray, grid: TileGrid) -> np.ndarray:
    basis = trend_basis(grid)
    return np.asarray(values - basis @ (basis.T @ values))


def test_quadratics_of_each_piece_are_trend_and_nothing_else_is() -> None:
    grid = pieces((0, 0, 8, 9), (0, 12, 8, 7), (14, 3, 6, 6))
    assert trend_basis(grid).shape == (len(grid.row), 18)
    y, x = grid.row.astype(float), grid.column.astype(float)
    own = np.where(x < 10, 3 * y - x * x, 7.0) + np.where(y > 10, x * y, 0)  # another surface on every piece
    cubic = y**3
    left = without_trend(np.stack([own, cubic], axis=1), grid)
    assert np.abs(left[:, 0]).max() < 1e-9
    assert left[:, 1].std() > 0.001 * cubic.std()


def test_corners_connect_and_small_pieces_have_fewer() -> None:
    diagonal = TileGrid(np.arange(6), np.arange(6))  # one piece on a line: 1, x, x²
    assert trend_basis(diagonal).shape == (6, 3)
    alone = TileGrid(np.array([0, 0, 5, 9]), np.array([0, 1, 7, 2]))  # a pair and two single tiles: nothing is left
    assert trend_basis(alone).shape == (4, 4)
    assert patterns_of(alone).patterns.shape == (4, 0)


@pytest.mark.parametrize("grid", [full(12, 12), pieces((0, 0, 9, 5), (0, 8, 9, 5)), pieces((3, 2, 4, 7))])
def test_trend_and_patterns_span_every_map_once(grid: TileGrid) -> None:
    found = patterns_of(grid)
    whole = np.concatenate([found.trend, found.patterns], axis=1)
    assert whole.shape == (len(grid.row),) * 2
    assert whole.T @ whole == pytest.approx(np.eye(len(grid.row)), abs=1e-10)
    assert found.block.tolist() == list(range(len(grid.row)))


def test_patterns_run_from_broad_to_fine() -> None:
    grid = full(14, 14)
    found = patterns_of(grid)
    smooth = morans_i(found.patterns, grid).value
    assert smooth[:5].min() > 0.75
    assert smooth[-40:].max() < 0
    noise = generator(0, "noise").standard_normal((14, 14))
    field = gaussian_filter(noise, 2.0).reshape(-1, 1)
    size = ((found.patterns.T @ field) ** 2)[:, 0]
    assert size[:20].sum() > 0.9 * size.sum()


def test_symmetric_tissue_leaves_no_choice() -> None:
    """A square's two directions would share one eigenvalue, and rounding choose the patterns; transposed tissue has the
    same ones up to sign after stretching the other way, so they are no accident."""
    grid = full(10, 10)
    order = np.lexsort((grid.row, grid.column))
    shuffled = TileGrid(grid.row[order], grid.column[order])
    one, two = patterns_of(grid).patterns[order], patterns_of(shuffled).patterns
    assert np.abs((one * two).sum(axis=0)) == pytest.approx(np.ones(94), abs=1e-6)


def test_large_sections_are_averaged_in_blocks() -> None:
    grid = full(20, 30)
    coarse, block = blocks(grid, 150)
    assert (coarse.shape, len(coarse.row)) == ((10, 15), 150)
    assert np.bincount(block).tolist() == [4] * 150
    found = patterns_of(grid, most=150)
    values = generator(0, "values").random((600, 2))
    by_hand = values.reshape(10, 2, 15, 2, 2).mean(axis=(1, 3)).reshape(150, 2)
    assert found.places(values) == pytest.approx(by_hand)
    assert patterns_of(grid, most=149).trend.shape[0] == 70  # 3 x 3
