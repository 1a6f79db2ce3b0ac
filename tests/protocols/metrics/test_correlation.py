"""Per-gene Pearson, Spearman and mean squared error: by hand, against scipy, and what must not change them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from protocols.errors import UserError
from protocols.metrics import correlation
from protocols.metrics.correlation import (
    PearsonAccumulator,
    State,
    mean_over_genes,
    mse_per_gene,
    pearson_per_gene,
    score_genes,
    spearman_per_gene,
)
from protocols.metrics.ranks import average_ranks

SEEDS = st.integers(0, 2**32 - 1)
SHORT = settings(max_examples=25, deadline=None)


def column(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float64)[:, None]


def random_pair(seed: int, n: int = 40, genes: int = 5, holes: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(n, genes))
    predicted = 0.5 * truth + rng.normal(size=(n, genes))
    truth[rng.random(truth.shape) < holes] = np.nan
    return truth, predicted


def reference(function, truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """One scipy call a gene, over its measured units."""
    result = []
    for t, p in zip(truth.T, predicted.T, strict=True):
        seen = ~np.isnan(t)
        result.append(function(t[seen], p[seen]).statistic)
    return np.array(result)


def test_by_hand() -> None:
    # centred truth (-1, 0, 1), prediction (-1, 1, 0): sums 2, 2 and 1
    assert pearson_per_gene(column(1, 2, 3), column(1, 3, 2))[0] == pytest.approx(0.5, abs=1e-15)
    assert mse_per_gene(column(1, 2, 3), column(1, 3, 2))[0] == pytest.approx(2 / 3)
    # ranks of (1, 1, 5, 9): 1.5, 1.5, 3, 4 against 1, 2, 3, 4: covariance 4.5, squares 4.5 and 5
    assert spearman_per_gene(column(1, 1, 5, 9), column(1, 2, 3, 40))[0] == pytest.approx(4.5 / np.sqrt(22.5))


def test_perfect_and_worst() -> None:
    truth, _ = random_pair(0)
    for function in (pearson_per_gene, spearman_per_gene):
        assert function(truth, truth) == pytest.approx(np.ones(5))
        assert function(truth, -truth) == pytest.approx(-np.ones(5))
    assert np.all(mse_per_gene(truth, truth) == 0)


@pytest.mark.parametrize("holes", [0.0, 0.2])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("genes", [1, 60, 1030])
def test_agrees_with_scipy(holes: float, kind: type, genes: int) -> None:
    truth, predicted = (a.astype(kind) for a in random_pair(1, 150, genes, holes))
    expected = reference(stats.pearsonr, truth.astype(np.float64), predicted.astype(np.float64))
    assert pearson_per_gene(truth, predicted) == pytest.approx(expected, abs=1e-12)
    assert spearman_per_gene(truth, predicted) == pytest.approx(reference(stats.spearmanr, truth, predicted), abs=1e-12)
    error = np.nanmean((truth.astype(np.float64) - predicted) ** 2, axis=0)
    assert mse_per_gene(truth, predicted) == pytest.approx(error, rel=1e-12)


def test_tiles_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    truth, predicted = random_pair(4, 90, 23, holes=0.1)
    truth[:, 5] = np.nan
    whole = [function(truth, predicted) for function in (pearson_per_gene, mse_per_gene)]
    monkeypatch.setattr(correlation, "TILE_GENES", 4)
    monkeypatch.setattr(correlation, "TILE_VALUES", 30)
    for function, expected in zip((pearson_per_gene, mse_per_gene), whole, strict=True):
        np.testing.assert_allclose(function(truth, predicted), expected, rtol=0, atol=1e-12)


def test_spearman_of_sparse_counts_agrees_with_scipy() -> None:
    rng = np.random.default_rng(3)
    truth = rng.poisson(0.4, (200, 20)).astype(np.float32)
    predicted = np.round(truth + rng.normal(size=truth.shape)).astype(np.float32)
    assert spearman_per_gene(truth, predicted) == pytest.approx(reference(stats.spearmanr, truth, predicted), abs=1e-12)


def test_ranks_agree_with_scipy_and_keep_holes() -> None:
    values = np.random.default_rng(0).integers(0, 9, (50, 7)).astype(np.float32)
    assert np.array_equal(average_ranks(values), stats.rankdata(values, axis=0))
    values[::3, 2] = np.nan
    assert np.array_equal(np.isnan(average_ranks(values)), np.isnan(values))
    seen = ~np.isnan(values[:, 2])
    assert np.array_equal(average_ranks(values)[seen, 2], stats.rankdata(values[seen, 2]))
    assert np.array_equal(average_ranks(np.array([[2], [1]])), [[2.0], [1.0]])


@SHORT
@given(seed=SEEDS, scale=st.floats(0.01, 100), shift=st.floats(-100, 100))
def test_positive_scale_and_shift_change_nothing(seed: int, scale: float, shift: float) -> None:
    truth, predicted = random_pair(seed, holes=0.1)
    for function in (pearson_per_gene, spearman_per_gene):
        expected = function(truth, predicted)
        assert function(truth, scale * predicted + shift) == pytest.approx(expected, abs=1e-9)
        assert function(scale * truth + shift, predicted) == pytest.approx(expected, abs=1e-9)
        assert function(truth, -scale * predicted + shift) == pytest.approx(-expected, abs=1e-9)


@SHORT
@given(seed=SEEDS)
def test_the_order_of_cells_and_the_side_change_nothing(seed: int) -> None:
    truth, predicted = random_pair(seed, holes=0.1)
    order = np.random.default_rng(seed).permutation(len(truth))
    for function in (pearson_per_gene, spearman_per_gene, mse_per_gene):
        assert function(truth[order], predicted[order]) == pytest.approx(function(truth, predicted), abs=1e-12)
    whole, _ = random_pair(seed)
    assert pearson_per_gene(whole, predicted) == pytest.approx(pearson_per_gene(predicted, whole), abs=1e-12)


@SHORT
@given(seed=SEEDS, sizes=st.lists(st.integers(1, 700), min_size=1, max_size=8), offset=st.sampled_from([0.0, 1e4]))
def test_chunks_and_merges_change_nothing(seed: int, sizes: list[int], offset: float) -> None:
    truth, predicted = random_pair(seed, sum(sizes), 3, holes=0.1)
    truth, predicted = truth + offset, predicted - offset
    expected, count = PearsonAccumulator(3), np.cumsum(sizes)[:-1]
    expected.update(truth, predicted)
    chunked, merged = PearsonAccumulator(3), PearsonAccumulator(3)
    for t, p in zip(np.split(truth, count), np.split(predicted, count), strict=True):
        chunked.update(t, p)
        alone = PearsonAccumulator(3)
        alone.update(t, p)
        merged.merge(alone)
    r, n = expected.result()
    for other in (chunked, merged):
        # Rounding of the means costs about (mean / SD) machine epsilons; uncentred sums would lose its square (2e-8).
        np.testing.assert_allclose(other.result()[0], r, rtol=0, atol=1e-10 if offset else 1e-12)
        assert np.array_equal(other.result()[1], n)
        assert np.array_equal(other.states(), expected.states())
    assert np.array_equal(n, (~np.isnan(truth)).sum(axis=0))


def test_a_large_offset_costs_few_digits() -> None:
    truth, predicted = random_pair(5, 5000, 2)
    naive_would_fail = 1e8
    assert pearson_per_gene(truth + naive_would_fail, predicted) == pytest.approx(
        pearson_per_gene(truth, predicted), abs=1e-7
    )


def test_constant_truth_is_undefined_for_every_model() -> None:
    truth = np.full((10, 1), 0.1, dtype=np.float32)
    for predicted in (truth, np.arange(10.0, dtype=np.float32)[:, None]):
        scores = score_genes(truth, predicted)
        assert scores.state[0] == State.CONSTANT_TRUTH
        assert np.isnan(scores.pearson[0])
        assert np.isnan(scores.spearman[0])
        assert np.isfinite(scores.mse[0])


@pytest.mark.parametrize("value", [0.0, 0.1, -3e7, 1e-30])
def test_a_constant_prediction_is_zero_and_counted(value: float) -> None:
    truth, _ = random_pair(0)
    scores = score_genes(truth.astype(np.float32), np.full(truth.shape, value, dtype=np.float32))
    assert np.all(scores.state == State.CONSTANT_PREDICTION)
    assert np.all(scores.pearson == 0.0)
    assert np.all(scores.spearman == 0.0)


def test_rounding_noise_is_not_signal() -> None:
    truth, _ = random_pair(0, 200)
    noisy = np.full(truth.shape, 0.1, dtype=np.float32)
    noisy[::2] = np.nextafter(noisy[::2], np.float32(1))
    noisy[::3] = np.nextafter(noisy[::3], np.float32(0))
    assert np.all(score_genes(truth, noisy).state == State.CONSTANT_PREDICTION)
    assert np.all(spearman_per_gene(truth, noisy) == 0.0)
    small = (0.1 + 1e-4 * truth).astype(np.float32)  # small, but above float32's rounding
    assert np.all(pearson_per_gene(truth, small) > 0.99)
    assert pearson_per_gene(truth, 1e-20 * truth) == pytest.approx(np.ones(5))


def test_one_expressing_cell_in_a_hundred_thousand_is_signal() -> None:
    truth = np.zeros((100_000, 1), dtype=np.float32)
    truth[7] = 5
    assert pearson_per_gene(truth, truth)[0] == pytest.approx(1.0)


def test_too_few_and_unmeasured() -> None:
    truth = np.full((6, 3), np.nan)
    truth[:2, 0] = [1, 2]
    truth[:3, 1] = [1, 2, 4]
    predicted = np.tile(np.arange(6.0)[:, None], 3)
    scores = score_genes(truth, predicted)
    assert list(scores.state) == [State.TOO_FEW, State.SCORED, State.UNMEASURED]
    assert list(scores.n) == [2, 3, 0]
    assert list(np.isnan(scores.pearson)) == [True, False, True]
    assert list(np.isnan(scores.mse)) == [False, False, True]
    assert np.all(np.isnan(pearson_per_gene(truth[:0], predicted[:0])))


def test_what_stands_in_a_hole_does_not_matter() -> None:
    truth, predicted = random_pair(2, holes=0.3)
    other = np.where(np.isnan(truth), 1e6, predicted)
    for function in (pearson_per_gene, spearman_per_gene, mse_per_gene):
        assert np.array_equal(function(truth, predicted), function(truth, other))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_prediction_that_is_not_finite_is_refused(bad: float) -> None:
    truth, predicted = random_pair(0)
    predicted[3, 1] = bad
    predicted[4, 1] = -bad
    for function in (pearson_per_gene, mse_per_gene):
        with pytest.raises(UserError, match="NaN or infinite"):
            function(truth, predicted)


def test_shapes_must_match() -> None:
    with pytest.raises(UserError, match="do not match"):
        pearson_per_gene(np.zeros((4, 2)), np.zeros((4, 3)))
    with pytest.raises(ValueError, match="cannot be merged"):
        PearsonAccumulator(2).merge(PearsonAccumulator(3))


def test_the_printed_formula_differs_where_a_gene_is_undefined() -> None:
    r = np.array([0.6, np.nan, 0.2])
    assert mean_over_genes(r) == pytest.approx(0.4)
    assert mean_over_genes(r, "zero") == pytest.approx(0.8 / 3)
    assert mean_over_genes(r, "poison") is None
    for undefined in ("exclude", "zero", "poison"):
        assert mean_over_genes(r[::2], undefined) == pytest.approx(0.4)
        assert mean_over_genes(np.array([]), undefined) is None
    assert mean_over_genes(np.array([np.nan])) is None


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1e200, 1e300])
def test_r_at_scales_whose_squares_leave_float64(scale: float) -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(60, 3))
    predicted = truth + rng.normal(size=truth.shape)
    right = pearson_per_gene(truth, predicted)
    np.testing.assert_allclose(pearson_per_gene(truth, predicted * scale), right, rtol=1e-12)
    np.testing.assert_allclose(pearson_per_gene(truth * scale, predicted), right, rtol=1e-12)
    np.testing.assert_allclose(spearman_per_gene(truth, predicted * scale), spearman_per_gene(truth, predicted))


def test_chunks_of_other_scales_add_up() -> None:
    """The first chunk is all zero, the second tiny, the third tiny to the square: one scale is found for all."""
    rng = np.random.default_rng(1)
    truth = rng.normal(size=(60, 2))
    predicted = rng.normal(size=(60, 2)) * np.repeat([0.0, 1e-300, 1e-290], 20)[:, None]
    chunks = PearsonAccumulator(2)
    for start in (0, 20):
        chunks.update(truth[start : start + 20], predicted[start : start + 20])
    last = PearsonAccumulator(2)
    last.update(truth[40:], predicted[40:])
    chunks.merge(last)
    wide = chunks.spread(5, np.array([4, 1]))
    right = [np.corrcoef(truth[:, g], predicted[:, g] * 1e295)[0, 1] for g in (0, 1)]
    np.testing.assert_allclose(chunks.result()[0], right, rtol=1e-10)
    np.testing.assert_allclose(wide.result()[0][[4, 1]], right, rtol=1e-10)
