"""Beyond the trend: against its plain formula, and how often maps that have nothing in common are called related."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.ndimage import gaussian_filter

from protocols.errors import UserError
from protocols.metrics.map_nulls import DRAWS, BeyondTrend, beyond_trend
from protocols.metrics.map_trends import patterns_of, trend_basis
from protocols.metrics.spatial_maps import TileGrid, percentile_scores
from protocols.seeds import generator


def square(side: int = 30) -> TileGrid:
    row, column = np.indices((side, side)).reshape(2, -1)
    return TileGrid(row, column)


def disc(radius: int) -> TileGrid:
    y, x = np.indices((2 * radius + 1, 2 * radius + 1)) - radius
    row, column = np.nonzero(x * x + y * y <= radius * radius + 1)
    return TileGrid(row + 2, column + 5)


def two_pieces(height: int = 30, width: int = 12, gap: int = 6) -> TileGrid:
    tissue = np.ones((height, 2 * width + gap), dtype=bool)
    tissue[:, width : width + gap] = False
    return TileGrid(*np.nonzero(tissue))


GRIDS = {"square": square(), "disc": disc(15), "two pieces": two_pieces()}


def gradients(seed: int, grid: TileGrid, maps: int) -> np.ndarray:
    """Planes in random directions, standard deviation 1."""
    angle = generator(seed, "angle").uniform(0, 2 * np.pi, maps)
    y, x = grid.row - grid.row.mean(), grid.column - grid.column.mean()
    planes = np.outer(y, np.cos(angle)) + np.outer(x, np.sin(angle))
    return np.asarray(planes / planes.std())


def fields(seed: int, grid: TileGrid, maps: int, sigma: float) -> np.ndarray:
    """Stationary fields cut from larger ones: nothing is periodic in them. Standard deviation 1."""
    (h, w), rim = grid.shape, int(4 * sigma)
    cut = np.empty((len(grid.row), maps))
    rng = generator(seed, "field", sigma)
    for start in range(0, maps, 250):
        noise = rng.standard_normal((min(250, maps - start), h + 2 * rim, w + 2 * rim), dtype=np.float32)
        smooth = gaussian_filter(noise, (0, sigma, sigma), mode="constant", truncate=3.0)
        cut[:, start : start + 250] = smooth[:, grid.row + rim, grid.column + rim].T
    return cut / cut.std()


def noise(seed: int, grid: TileGrid, maps: int) -> np.ndarray:
    return generator(seed, "noise").standard_normal((len(grid.row), maps))


LAWS = {
    "gradient": gradients,
    "gradient + noise": lambda *at: gradients(*at) + 0.5 * noise(*at),
    "sigma 2": lambda *at: fields(*at, 2.0),
    "sigma 4": lambda *at: fields(*at, 4.0),
    "sigma 6": lambda *at: fields(*at, 6.0),
    "gradient + sigma 4": lambda *at: gradients(*at) + fields(*at, 4.0),
    "gradient + sigma 6": lambda *at: gradients(*at) + fields(*at, 6.0),
    "heavy tails": lambda *at: np.exp(1.5 * fields(*at, 4.0)),
}


def unrelated(law: str, grid: TileGrid, pairs: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    one, two = (percentile_scores(LAWS[law](2 * seed + side, grid, pairs)) for side in (1, 2))
    return one, two


def bound(pairs: int) -> float:
    """Of five in a hundred, with a chance of one in a thousand of more."""
    return float(stats.binom.ppf(0.999, pairs, 0.05)) / pairs


@pytest.mark.parametrize("shape", GRIDS)
def test_maps_with_nothing_in_common(shape: str) -> None:
    """The cases that broke toroidal shifts: .34 of gradients on a square, .125 of smooth fields on two pieces."""
    laws, pairs = ("gradient", "sigma 6", "gradient + noise"), 400
    made = [unrelated(law, GRIDS[shape], pairs) for law in laws]
    predicted, truth = (np.concatenate(side, axis=1) for side in zip(*made, strict=True))
    p = beyond_trend(predicted, truth, GRIDS[shape], seed=0).p.reshape(len(laws), pairs)
    rates = dict(zip(laws, (p < 0.05).mean(axis=1), strict=True))
    print(shape, rates)
    assert rates["gradient"] == 0
    assert all(0 < rates[law] <= bound(pairs) for law in laws[1:])


@pytest.mark.simulation
@pytest.mark.parametrize("shape", GRIDS)
@pytest.mark.parametrize("law", LAWS)
def test_rates_and_power(law: str, shape: str) -> None:
    """The table of the module: 4,000 pairs each, and as many with r = .5."""
    grid = GRIDS[shape]
    predicted, truth = unrelated(law, grid, 4000, seed=1)
    null = beyond_trend(predicted, truth, grid, seed=0).p
    related = percentile_scores(0.5 * truth + 0.75**0.5 * predicted)
    power = np.mean(beyond_trend(related, truth, grid, seed=0).p < 0.05)
    print(f"{shape}, {law}: {np.mean(null < 0.05):.3f}, power {power:.3f}")
    assert np.mean(null < 0.05) <= bound(4000)
    assert law == "gradient" or power > 0.2


def test_exact_planes_leave_only_rounding() -> None:
    grid = square(12)
    planes = gradients(0, grid, 6)
    found = beyond_trend(planes, planes, grid, seed=0)
    assert not found.r.defined.any()
    assert found.p.tolist() == [1.0] * 6
    against = beyond_trend(planes, fields(0, grid, 6, 1.0), grid, seed=0)
    assert (against.r.value.tolist(), against.p.tolist()) == ([0.0] * 6, [1.0] * 6)
    assert against.r.defined.all(), "a mere trend is an answer that says nothing more"


def test_r_is_that_of_the_residuals_and_p_counts_signs() -> None:
    grid = disc(6)
    truth = fields(0, grid, 3, 1.5) + gradients(0, grid, 3)
    predicted = truth + fields(9, grid, 3, 1.0)
    found = beyond_trend(predicted, truth, grid, seed=5)
    design = trend_basis(grid)
    for gene in range(3):
        left = [side[:, gene] - design @ np.linalg.lstsq(design, side[:, gene])[0] for side in (predicted, truth)]
        assert found.r.value[gene] == pytest.approx(stats.pearsonr(*left).statistic)
    patterns = patterns_of(grid).patterns
    x, y = (side[:, 0] @ patterns for side in (predicted, truth))
    products = x * y / np.sqrt((x @ x) * (y @ y))
    rng = np.random.default_rng(0)  # other signs than the module's: equal but for the error of 20,000 and of 999 draws
    null = (2 * rng.integers(2, size=(20_000, len(products))) - 1) @ products
    expected = np.mean(null >= products.sum())
    assert found.p[0] == pytest.approx(expected, abs=4 * np.sqrt(expected / DRAWS) + 2 / DRAWS)


def test_a_match_gets_the_smallest_p() -> None:
    grid = disc(10)
    truth = fields(3, grid, 5, 2.0)
    found = beyond_trend(3 * truth + 1, truth, grid, seed=0)
    assert found.p == pytest.approx(np.full(5, 1 / (1 + DRAWS)))
    assert found.r.value == pytest.approx(np.ones(5))
    assert beyond_trend(-truth, truth, grid, seed=0).p == pytest.approx(np.ones(5))


def test_a_trend_in_common_is_no_relation_and_one_underneath_is_found() -> None:
    grid = GRIDS["two pieces"]
    slope = 2.5 * gradients(1, grid, 1)
    one, two = fields(1, grid, 150, 2.0), fields(2, grid, 150, 2.0)
    shared = beyond_trend(one + slope, two + slope, grid, seed=0)
    assert np.corrcoef((one + slope)[:, 0], (two + slope)[:, 0])[0, 1] > 0.8
    assert np.mean(shared.p < 0.05) <= bound(150)
    opposed = beyond_trend(0.7 * one + 0.7 * two - slope, one + slope, grid, seed=0)
    assert np.mean(opposed.p < 0.05) > 0.95


def test_undefined_and_constant_maps() -> None:
    grid = disc(5)
    truth = fields(4, grid, 3, 1.0)
    predicted = truth.copy()
    truth[:, 1] = 0.3
    predicted[:, 2] = 0.7
    found = beyond_trend(predicted, truth, grid, seed=0)
    assert found.r.defined.tolist() == [True, False, True]
    assert found.r.listed()[1:] == (None, 0.0)
    assert found.p.tolist()[1:] == [1.0, 1.0]


def test_tissue_of_scattered_tiles_shows_nothing() -> None:
    scattered = TileGrid(np.array([0, 9, 20]), np.array([0, 13, 4]))
    found = beyond_trend(np.arange(3.0)[:, None], np.arange(3.0)[:, None], scattered, seed=0)
    assert (found.r.defined.tolist(), found.p.tolist()) == ([False], [1.0])


def same(one: BeyondTrend, two: BeyondTrend) -> bool:
    return np.array_equal(one.p, two.p) and np.array_equal(one.r.value, two.r.value)


def test_chunks_of_genes_do_not_show_and_the_seed_does(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = disc(5)
    predicted, truth = (fields(seed, grid, 7, 1.0) for seed in (5, 6))
    whole = beyond_trend(predicted, truth, grid, seed=0)
    assert not same(beyond_trend(predicted, truth, grid, seed=1), whole)
    monkeypatch.setattr("protocols.metrics.map_nulls._AT_ONCE", 3 * DRAWS)
    assert same(beyond_trend(predicted, truth, grid, seed=0), whole)


def test_sections_too_large_for_a_dense_matrix_are_tested_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = square(24)
    truth = fields(7, grid, 40, 3.0)
    related = truth + fields(8, grid, 40, 3.0)
    whole = beyond_trend(related, truth, grid, seed=0)
    monkeypatch.setattr("protocols.metrics.map_trends.MOST_PLACES", 150)
    coarse = beyond_trend(related, truth, grid, seed=0)
    assert coarse.r.value == pytest.approx(whole.r.value, abs=0.05)
    assert np.mean(np.abs(coarse.p - whole.p)) < 0.02


def test_another_grid_and_holes_are_refused() -> None:
    with pytest.raises(UserError, match="as the grid"):
        beyond_trend(np.eye(9), np.eye(9), disc(3), seed=0)
    with pytest.raises(UserError, match="NaN"):
        beyond_trend(np.full((9, 1), np.nan), np.ones((9, 1)), square(3), seed=0)
