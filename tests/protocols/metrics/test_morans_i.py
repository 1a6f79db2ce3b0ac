"""Moran's I by hand, against a dense matrix of weights, and against what is known of it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.spatial.distance import cdist

from protocols.errors import UserError
from protocols.metrics.morans_i import morans_i
from protocols.metrics.spatial_maps import TileGrid
from protocols.seeds import generator


def full(height: int, width: int) -> TileGrid:
    row, column = np.indices((height, width)).reshape(2, -1)
    return TileGrid(row, column)


def ragged(seed: int) -> TileGrid:
    row, column = np.nonzero(generator(seed, "tissue").random((9, 8)) > 0.35)
    return TileGrid(row, column)


def by_matrix(values: np.ndarray, grid: TileGrid) -> float:
    """The formula with all t x t weights: 1 where two tiles are at most one row and one column apart."""
    place = np.stack([grid.row, grid.column], axis=1)
    weights = (cdist(place, place, "chebyshev") == 1).astype(float)
    z = values - values.mean()
    return float(len(z) / weights.sum() * (z @ weights @ z) / (z @ z))


def test_four_tiles_by_hand() -> None:
    """2 x 2, values 0 0 1 1 by row: z = -.5 -.5 .5 .5. All six pairs touch, twice each: 4 / 12 x (2 x (.25 + .25 - 4 x
    .25)) / 1 = -1/3. In a row of four, three pairs touch: 4 / 6 x 2 x (.25 - .25 + .25) / 1 = 1/3."""
    steps = np.array([[0.0], [0.0], [1.0], [1.0]])
    assert morans_i(steps, full(2, 2)).value.tolist() == [pytest.approx(-1 / 3)]
    assert morans_i(steps, full(1, 4)).value.tolist() == [pytest.approx(1 / 3)]
    board = (np.indices((4, 4)).sum(axis=0) % 2).reshape(-1, 1)  # 24 unlike pairs by side, 18 like ones by corner
    assert morans_i(board, full(4, 4)).value[0] == pytest.approx((18 - 24) / 42)


@pytest.mark.parametrize("seed", [0, 1])
def test_equals_the_dense_matrix(seed: int) -> None:
    grid = ragged(seed)
    values = generator(seed, "values").gamma(2, size=(len(grid.row), 5)) * 1e3 + 1e5
    found = morans_i(values, grid)
    assert found.defined.all()
    assert found.value == pytest.approx([by_matrix(column, grid) for column in values.T], rel=1e-9)
    assert morans_i(values * -3 + 7, grid).value == pytest.approx(found.value)


def test_expectation_without_order() -> None:
    """-1 / (n - 1) over all permutations, whatever the values; n = 30, 20,000 of them."""
    grid = full(5, 6)
    rng = generator(0, "permutations")
    skewed = rng.gamma(0.5, size=30)
    found = morans_i(np.stack([rng.permutation(skewed) for _ in range(20_000)], axis=1), grid).value
    assert found.mean() == pytest.approx(-1 / 29, abs=4 * found.std() / np.sqrt(len(found)))


def test_smoother_maps_have_more() -> None:
    noise = generator(0, "smooth").standard_normal((30, 30))
    fields = np.stack([gaussian_filter(noise, sigma).ravel() for sigma in (0.0, 0.7, 1.5, 4.0)], axis=1)
    found = morans_i(fields, full(30, 30)).value
    assert abs(found[0]) < 0.06
    assert (np.diff(found) > 0.05).all()
    assert found[-1] > 0.9


def test_undefined() -> None:
    values = np.tile(np.array([[0.1], [0.3], [0.1], [0.3]]), (1, 3))
    values[:, 1] = 0.1 + 0.2
    found = morans_i(values, full(2, 2))
    assert (found.defined.tolist(), found.listed()[1]) == ([True, False, True], None)
    apart = TileGrid(np.array([0, 2, 4, 6]), np.array([0, 2, 0, 5]))
    assert not morans_i(values, apart).defined.any()
    with pytest.raises(UserError, match="NaN"):
        morans_i(np.array([[np.nan], [1.0], [2.0], [3.0]]), full(2, 2))
    with pytest.raises(UserError, match="4 tiles"):
        morans_i(np.ones((5, 1)), full(2, 2))
