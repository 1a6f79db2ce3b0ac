"""Maps of a section: from spots to tiles, filters, scores and agreement, each against a plain loop or scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse, stats
from skimage.metrics import structural_similarity

from protocols.errors import UserError
from protocols.metrics.spatial_maps import (
    MIN_DISTINCT,
    TileGrid,
    distinct_values,
    four_nearest,
    log_normalised,
    median_3x3,
    neighbour_mean,
    pearson_of_maps,
    percentile_scores,
    spearman_of_maps,
    ssim_of_maps,
)
from protocols.seeds import generator

SHORT = settings(max_examples=25, deadline=None)
SEEDS = st.integers(0, 2**32 - 1)


def irregular(seed: int, h: int = 8, w: int = 9, absent: float = 0.3) -> TileGrid:
    """Tiles with holes, in no order."""
    rng = generator(seed, "grid")
    places = np.argwhere(rng.random((h, w)) >= absent)
    rng.shuffle(places)
    return TileGrid(places[:, 0], places[:, 1])


def full(h: int, w: int) -> TileGrid:
    row, column = np.indices((h, w)).reshape(2, -1)
    return TileGrid(row, column)


def values_on(grid: TileGrid, genes: int = 3, seed: int = 0) -> np.ndarray:
    return generator(seed, "values").normal(size=(len(grid.row), genes))


def test_grid() -> None:
    grid = TileGrid(np.array([2, 0]), np.array([1, 3]))
    assert grid.shape == (3, 4)
    assert grid.tissue.sum() == 2
    dense = grid.to_grid(np.array([[5.0, 6.0], [7.0, 8.0]]), fill=-1.0)
    assert dense.shape == (3, 4, 2)
    assert dense[2, 1].tolist() == [5, 6]
    assert dense[0, 3].tolist() == [7, 8]
    assert (dense[~grid.tissue] == -1).all()
    assert grid.to_grid(np.array([5, 7]))[0, 3] == 7


@pytest.mark.parametrize(
    ("row", "column", "what"),
    [
        ([0, 0], [1, 1], "two tiles at one place"),
        ([0, -1], [1, 1], "negative"),
        ([], [], "at least one"),
        ([0], [0, 1], "one length"),
    ],
)
def test_grids_that_cannot_be(row: list[int], column: list[int], what: str) -> None:
    with pytest.raises(UserError, match=what):
        TileGrid(np.array(row, dtype=np.int64), np.array(column, dtype=np.int64))


def test_maps_of_other_tiles_are_refused() -> None:
    grid = full(3, 3)
    for function in (median_3x3, neighbour_mean):
        with pytest.raises(UserError, match="9 tiles"):
            function(np.ones((8, 2)), grid)


def test_four_nearest_by_hand() -> None:
    spots = np.array([[0.0, 0], [1, 0], [0, 1], [1, 1], [9, 9]])
    values = np.array([[1.0, 10], [2, 20], [3, 30], [6, 60], [100, 1000]])
    assert four_nearest(spots, values, np.array([[0.4, 0.4]])).tolist() == [[3.0, 30.0]]
    assert four_nearest(spots, values, np.array([[0.9, 0.8]]), k=1).tolist() == [[6.0, 60.0]]
    with pytest.raises(UserError, match="at least 4"):
        four_nearest(spots[:3], values[:3], spots)


@SHORT
@given(seed=SEEDS, spots=st.integers(4, 60), k=st.integers(1, 4))
def test_four_nearest_is_the_plain_search(seed: int, spots: int, k: int) -> None:
    rng = generator(seed, "spots")
    spot_xy, tile_xy, values = rng.random((spots, 2)), rng.random((7, 2)), rng.random((spots, 3))
    near = np.argsort(np.hypot(*(spot_xy[None] - tile_xy[:, None]).transpose(2, 0, 1)), axis=1)[:, :k]
    assert four_nearest(spot_xy, values, tile_xy, k) == pytest.approx(values[near].mean(axis=1))


def test_ties_go_to_the_first_spots() -> None:
    angle = np.arange(12) * np.pi / 6  # twelve at one distance, up to rounding, and then thirty more
    ring = 55.0 * np.column_stack([np.cos(angle), np.sin(angle)])
    values = np.arange(12.0)[:, None]
    assert four_nearest(ring, values, np.zeros((1, 2)))[0, 0] == 1.5
    many = np.tile(ring, (4, 1))
    assert four_nearest(many + 1e3, np.arange(48.0)[:, None], np.full((2, 2), 1e3)).ravel().tolist() == [1.5, 1.5]
    same = np.zeros((20, 2))
    assert four_nearest(same, np.arange(20.0)[:, None], np.zeros((1, 2)))[0, 0] == 1.5


def test_the_corner_is_not_the_centre() -> None:
    """The released code measures from a tile's top-left corner: other spots, other values."""
    hexagons = np.array([[x + 50 * (y % 2), 86.6 * y] for y in range(12) for x in range(0, 1000, 100)], dtype=float)
    corners = np.array([[x, y] for y in range(128, 640, 128) for x in range(128, 640, 128)], dtype=float)
    gradient = hexagons[:, :1]
    from_corner, from_centre = (four_nearest(hexagons, gradient, points) for points in (corners, corners + 64))
    assert np.mean(from_centre - from_corner) == pytest.approx(64, abs=15)  # half a tile


def plain_median(values: np.ndarray, grid: TileGrid) -> np.ndarray:
    result = values.copy()
    for tile in range(len(values)):
        near = (abs(grid.row - grid.row[tile]) <= 1) & (abs(grid.column - grid.column[tile]) <= 1)
        if near.sum() >= 5:
            result[tile] = np.median(values[near], axis=0)
    return result


@SHORT
@given(seed=SEEDS, absent=st.floats(0, 0.8))
def test_median_is_the_plain_loop(seed: int, absent: float) -> None:
    grid = irregular(seed, absent=absent)
    values = values_on(grid, seed=seed)
    assert np.array_equal(median_3x3(values, grid), plain_median(values, grid))


def test_median_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.array([9.0, 1, 2, 3, 4, 5, 6, 7, 8])[:, None]
    filtered = median_3x3(values, full(3, 3)).ravel()
    assert filtered[0] == 9.0  # a corner sees 4 tiles and keeps its own
    assert filtered[1] == 3.5  # 9 1 2 3 4 5
    assert filtered[4] == 5.0
    monkeypatch.setattr("protocols.metrics.spatial_maps._AT_ONCE", 1)  # gene by gene
    assert median_3x3(values, full(3, 3)).ravel().tolist() == filtered.tolist()


@SHORT
@given(seed=SEEDS)
def test_neighbour_mean_does_not_see_the_tile_itself(seed: int) -> None:
    grid = irregular(seed, absent=0.6)
    values = values_on(grid, seed=seed)
    mean = neighbour_mean(values, grid)
    for tile in range(len(values)):
        near = (abs(grid.row - grid.row[tile]) <= 1) & (abs(grid.column - grid.column[tile]) <= 1)
        near[tile] = False
        expected = values[near].mean(axis=0) if near.any() else values.mean(axis=0)
        assert mean[tile] == pytest.approx(expected)


def test_percentiles_are_scipys() -> None:
    values = np.array([[1.0, 2, 2, 8, 9], [5.0, 5, 5, 5, 5]]).T
    scores = percentile_scores(values)
    assert scores[:, 0].tolist() == [20, 50, 50, 80, 100]  # (2 + 3) / 2 of 5 for the tied ones
    for gene in range(2):
        expected = [stats.percentileofscore(values[:, gene], v) for v in values[:, gene]]
        assert scores[:, gene] == pytest.approx(expected)
    assert len(set(scores[:, 1])) == 1


def test_distinct_values() -> None:
    values = np.column_stack([np.zeros(12), np.arange(12) % 4, np.arange(12)])
    assert distinct_values(values).tolist() == [1, 4, 12]
    assert (distinct_values(values) >= MIN_DISTINCT).tolist() == [False, False, True]


def counts(seed: int = 0, spots: int = 30, genes: int = 12) -> np.ndarray:
    made = generator(seed, "counts").poisson(2.0, size=(spots, genes)).astype(np.float64)
    made[:, 3] = 0
    made[5] = 0
    return made


def test_log_normalised_is_scanpys_chain() -> None:
    scanpy = pytest.importorskip("scanpy")
    anndata = pytest.importorskip("anndata")
    data = anndata.AnnData(counts())
    with pytest.warns(UserWarning, match="zero counts"):
        scanpy.pp.normalize_total(data)
    scanpy.pp.log1p(data)
    scanpy.pp.scale(data)
    assert log_normalised(counts()) == pytest.approx(np.asarray(data.X), abs=1e-10)


def test_log_normalised_by_definition() -> None:
    raw = counts()
    z = log_normalised(raw)
    totals = raw.sum(axis=1)
    logs = np.log1p(raw * (np.median(totals[totals > 0]) / np.maximum(totals, 1))[:, None])
    varies = np.arange(12) != 3
    assert z[:, varies] == pytest.approx(stats.zscore(logs[:, varies], ddof=1))
    assert (z[:, 3] == 0).all()
    keep = np.array([7, 0])
    for kind in (sparse.csr_matrix, sparse.csr_array, sparse.csc_array):
        assert log_normalised(kind(raw)) == pytest.approx(z, abs=1e-12)
        assert log_normalised(kind(raw.astype(np.float32)), keep) == pytest.approx(z[:, keep], abs=1e-12)
    assert (log_normalised(np.zeros((3, 2))) == 0).all()
    with pytest.raises(UserError, match="raw matrix"):
        log_normalised(-raw)


def test_correlations_and_what_is_undefined() -> None:
    grid = full(5, 6)
    truth, predicted = values_on(grid, 4), values_on(grid, 4, seed=1) + values_on(grid, 4)
    truth[:, 2] = 1.25
    predicted[:, 3] = 0.1
    for function, reference in ((pearson_of_maps, stats.pearsonr), (spearman_of_maps, stats.spearmanr)):
        found = function(predicted, truth)
        for gene in (0, 1):
            assert found.value[gene] == pytest.approx(reference(predicted[:, gene], truth[:, gene]).statistic)
        assert found.defined.tolist() == [True, True, False, True]
        assert found.listed()[2:] == (None, 0.0)
        assert found.median() == pytest.approx(np.median([*found.value[:2], 0.0]))
        assert function(truth[:, 2:3], truth[:, 2:3]).median() is None
        with pytest.raises(UserError, match="NaN"):
            function(predicted, np.where(truth > 1, np.nan, truth))


def test_similarity_is_scikit_images_away_from_background() -> None:
    grid = full(12, 11)
    truth, predicted = (percentile_scores(values_on(grid, 3, seed)) for seed in (0, 1))
    found = ssim_of_maps(predicted, truth, grid)
    assert found.defined.all()
    for gene in range(3):
        pair = (grid.to_grid(side[:, gene]) for side in (predicted, truth))
        # the library's own mean leaves out the windows that overhang: the same ones
        assert found.value[gene] == pytest.approx(structural_similarity(*pair, win_size=7, data_range=100.0))
    assert ssim_of_maps(truth, truth, grid).value == pytest.approx(np.ones(3))
    assert (ssim_of_maps(100 - truth, truth, grid).value < 0).all()


def test_similarity_never_sees_background() -> None:
    """A window counts only whole: widening the background, or a stray tile out there, changes nothing."""
    inner = full(9, 9)
    truth, predicted = (percentile_scores(values_on(inner, 2, seed)) for seed in (0, 1))
    expected = ssim_of_maps(predicted, truth, inner).value
    moved = TileGrid(np.r_[inner.row + 3, 30], np.r_[inner.column + 4, 30])
    stray = [np.vstack([side, np.full((1, 2), 1e3)]) for side in (predicted, truth)]
    assert ssim_of_maps(*stray, moved).value == pytest.approx(expected)


def test_similarity_takes_the_window_that_fits() -> None:
    for side, window in ((5, 5), (6, 5), (4, 3)):
        grid = full(side, side)
        truth, predicted = (percentile_scores(values_on(grid, 1, seed)) for seed in (0, 1))
        pair = (grid.to_grid(each[:, 0]) for each in (predicted, truth))
        expected = structural_similarity(*pair, win_size=window, data_range=100.0)
        # the library wants the image as large as the window: a background frame must not matter
        assert ssim_of_maps(predicted, truth, grid).value[0] == pytest.approx(expected)
    line = full(1, 9)
    assert ssim_of_maps(np.ones((9, 2)), np.ones((9, 2)), line).listed() == (None, None)
