"""Toroidal shifts: against a plain loop, and against what smooth maps that have nothing in common do to a t-test."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.ndimage import gaussian_filter

from protocols.errors import UserError
from protocols.metrics.map_nulls import LEAST_OVERLAP, shift_overlap, shifted_correlations, toroidal_shift_null
from protocols.metrics.spatial_maps import TileGrid, percentile_scores
from protocols.seeds import generator


def disc(radius: int) -> TileGrid:
    y, x = np.indices((2 * radius + 1, 2 * radius + 1)) - radius
    row, column = np.nonzero(x * x + y * y <= radius * radius + 1)
    return TileGrid(row + 2, column + 5)  # off the origin: the rectangle that counts is the tissue's own


def irregular(seed: int = 0, h: int = 7, w: int = 6) -> TileGrid:
    row, column = np.nonzero(generator(seed, "tissue").random((h, w)) > 0.25)
    return TileGrid(row, column)


def smooth_fields(seed: int, grid: TileGrid, genes: int, sigma: float) -> np.ndarray:
    """Stationary fields cut from larger ones: nothing is periodic in them."""
    h, w = grid.shape
    noise = generator(seed, "field").standard_normal((genes, h + 24, w + 24))
    fields = gaussian_filter(noise, (0, sigma, sigma))[:, 12 : 12 + h, 12 : 12 + w]
    return fields[:, grid.row, grid.column].T


def plain_shifts(predicted: np.ndarray, truth: np.ndarray, grid: TileGrid) -> tuple[np.ndarray, np.ndarray]:
    """r and overlap of every shift of one gene, by hand: roll, mask, correlate."""
    row, column = grid.row - grid.row.min(), grid.column - grid.column.min()
    h, w = row.max() + 1, column.max() + 1
    maps = np.full((2, h, w), np.nan)
    maps[0, row, column], maps[1, row, column] = predicted, truth
    r, overlap = np.zeros((h, w)), np.zeros((h, w))
    for dy in range(h):
        for dx in range(w):
            x = np.roll(maps[0], (dy, dx), axis=(0, 1))
            both = np.isfinite(x) & np.isfinite(maps[1])
            overlap[dy, dx] = both.sum()
            if both.sum() > 2:
                r[dy, dx] = stats.pearsonr(x[both], maps[1][both]).statistic
    return r, overlap


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_transforms_equal_the_plain_loop(offset: float) -> None:
    for seed in range(2):
        grid = irregular(seed)
        rng = generator(seed, "values")
        predicted, truth = rng.random((2, len(grid.row), 3)) * 100 + offset
        found, overlaps, null = (
            shifted_correlations(predicted, truth, grid),
            shift_overlap(grid),
            toroidal_shift_null(predicted, truth, grid),
        )
        for gene in range(3):
            r, overlap = plain_shifts(predicted[:, gene], truth[:, gene], grid)
            assert np.array_equal(overlaps, overlap)
            assert found[..., gene][overlap > 2] == pytest.approx(r[overlap > 2], abs=1e-9)
            counted = overlap >= LEAST_OVERLAP * len(grid.row)
            counted[0, 0] = False
            assert null.n_shifts == counted.sum()
            assert null.r[gene] == pytest.approx(r[0, 0], abs=1e-12)
            assert null.p[gene] == (1 + (r[counted] >= r[0, 0]).sum()) / (1 + counted.sum())


def false_positives(grid: TileGrid, sigma: float, genes: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """p of pairs of smooth maps that have nothing in common: by shifts, and by a t-test."""
    predicted, truth = (percentile_scores(smooth_fields(seed, grid, genes, sigma)) for seed in (1, 2))
    pairs = zip(predicted.T, truth.T, strict=True)
    naive = np.array([stats.pearsonr(p, t, alternative="greater").pvalue for p, t in pairs])
    return toroidal_shift_null(predicted, truth, grid).p, naive


@pytest.mark.parametrize("sigma", [1.5, 3.0])
def test_no_relation_gives_uniform_p_where_a_t_test_is_sure(sigma: float) -> None:
    p, naive = false_positives(disc(12), sigma)
    low, high = (edge / len(p) for edge in stats.binom.interval(0.999, len(p), 0.05))
    print(f"p < .05, nothing in common: shifts {np.mean(p < 0.05):.3f}, t-test {np.mean(naive < 0.05):.3f}")
    assert low <= np.mean(p < 0.05) <= high
    assert np.mean(p) == pytest.approx(0.5, abs=0.06)
    assert stats.kstest(p, "uniform").pvalue > 1e-3
    assert np.mean(naive < 0.05) > 3 * high
    assert np.mean(naive < 1e-6) > 0.05


def test_the_seam_costs_calibration_on_full_rectangles_of_long_range() -> None:
    """The stated limit: maps as smooth as a fifth of the section are torn at the seam, and p is too small by some."""
    row, column = np.indices((25, 25)).reshape(2, -1)
    p, naive = false_positives(TileGrid(row, column), 5.0)
    assert 0.05 < np.mean(p < 0.05) < 0.18
    assert np.mean(p < 0.05) < np.mean(naive < 0.05) / 2


def test_a_match_gets_the_smallest_p() -> None:
    grid = disc(10)
    truth = smooth_fields(3, grid, 5, 2.0)
    null = toroidal_shift_null(3 * truth + 1, truth, grid)
    assert null.p == pytest.approx(np.full(5, 1 / (1 + null.n_shifts)))
    assert null.r == pytest.approx(np.ones(5))
    assert null.n_shifts > 50
    assert toroidal_shift_null(-truth, truth, grid).p == pytest.approx(np.ones(5))


def test_a_shifted_map_is_found_at_its_shift() -> None:
    row, column = np.indices((6, 7)).reshape(2, -1)
    grid = TileGrid(row, column)
    truth = generator(0, "shift").random((6, 7))
    moved = np.roll(truth, (-2, -3), axis=(0, 1))  # moved back by (2, 3), it meets the truth
    r = shifted_correlations(moved.reshape(-1, 1), truth.reshape(-1, 1), grid)[..., 0]
    assert np.unravel_index(r.argmax(), r.shape) == (2, 3)
    assert r.max() == pytest.approx(1.0)


def test_undefined_and_constant_maps() -> None:
    grid = disc(5)
    truth = smooth_fields(4, grid, 3, 1.0)
    predicted = truth.copy()
    truth[:, 1] = 0.3
    predicted[:, 2] = 0.7
    null = toroidal_shift_null(predicted, truth, grid)
    assert null.defined.tolist() == [True, False, True]
    assert null.r.tolist()[1:] == [0.0, 0.0]
    assert null.p.tolist()[1:] == [1.0, 1.0]  # a constant is no better than its shifts
    # constant over most overlaps: those shifts explain nothing, and none is NaN
    spike = np.zeros((len(grid.row), 1))
    spike[np.argmin(grid.row)] = 1.0
    found = shifted_correlations(spike, truth[:, :1], grid)
    assert np.isfinite(found).all()


def test_without_any_shift_nothing_is_shown() -> None:
    one = TileGrid(np.array([0, 9, 20]), np.array([0, 13, 4]))
    null = toroidal_shift_null(np.arange(3.0)[:, None], np.arange(3.0)[:, None], one)
    assert (null.n_shifts, null.p.tolist()) == (0, [1.0])


def test_chunks_of_genes_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = disc(5)
    predicted, truth = (smooth_fields(seed, grid, 7, 1.0) for seed in (5, 6))
    whole = toroidal_shift_null(predicted, truth, grid)
    monkeypatch.setattr("protocols.metrics.map_nulls._AT_ONCE", 300)
    assert np.array_equal(toroidal_shift_null(predicted, truth, grid).p, whole.p)


def test_another_grid_is_refused() -> None:
    with pytest.raises(UserError, match="as the grid"):
        toroidal_shift_null(np.eye(9), np.eye(9), disc(3))
