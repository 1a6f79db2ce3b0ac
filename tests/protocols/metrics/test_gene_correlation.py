"""Pearson r, p-values, errors and top genes of bulk predictions: by hand, against scipy, and what must not matter."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from protocols.errors import UserError
from protocols.metrics import correlation, gene_correlation
from protocols.metrics.gene_correlation import (
    correlate,
    mann_whitney,
    mean_by_patient,
    moments,
    pearson_p,
    pearson_per_gene,
    per_fold_mean,
    root_mean_squared_error,
    top_genes,
    top_median,
    top_medians,
)

SEEDS = st.integers(0, 2**32 - 1)
SHORT = settings(max_examples=25, deadline=None)


def column(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float64)[:, None]


def pair(seed: int, n: int = 40, genes: int = 37) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.normal(5, 2, (n, genes))
    return truth, 0.4 * truth + rng.normal(size=(n, genes))


def test_by_hand() -> None:
    # centred truth (-1, 0, 1), prediction (-1, 1, 0): sums 2, 2 and 1
    assert pearson_per_gene(column(1, 2, 3), column(1, 3, 2)) == pytest.approx([0.5], abs=1e-15)
    # r = 1/2 with one degree of freedom: t = 1/√3, at which Cauchy's two tails are 2/3
    assert pearson_p(np.array([0.5]), 3) == pytest.approx([2 / 3], abs=1e-15)


def test_equals_scipy_gene_by_gene() -> None:
    truth, predicted = pair(1)
    expected = [stats.pearsonr(t, p) for t, p in zip(truth.T, predicted.T, strict=True)]
    r = pearson_per_gene(truth, predicted)
    assert r == pytest.approx([e.statistic for e in expected], rel=1e-12)
    assert pearson_p(r, len(truth)) == pytest.approx([e.pvalue for e in expected], rel=1e-11)


@pytest.mark.parametrize("n", [3, 4, 10, 500])
def test_p_equals_students_t(n: int) -> None:
    r = np.array([-0.999, -0.5, -1e-9, 0.0, 0.02, 0.3, 0.9])
    t = r * np.sqrt((n - 2) / (1 - r**2))
    assert pearson_p(r, n) == pytest.approx(2 * stats.t.sf(np.abs(t), n - 2), rel=1e-9)


def test_p_at_the_ends() -> None:
    assert pearson_p(np.array([1.0, -1.0, 0.0]), 50) == pytest.approx([0, 0, 1], abs=1e-15)
    assert (pearson_p(np.array([1.0, 0.5]), 2) == 1).all()
    with pytest.raises(UserError, match="NaN or outside"):
        pearson_p(np.array([np.nan]), 9)


def test_agrees_with_the_metric_of_the_expression_protocols_where_both_are_defined() -> None:
    truth, predicted = pair(2, n=300, genes=700)
    truth[:, 3], predicted[:, 5] = 1.0, 2.0
    ours, theirs = correlate(truth, predicted), correlation.pearson_per_gene(truth, predicted)
    assert np.delete(ours.r, 3) == pytest.approx(np.delete(theirs, 3), abs=1e-13)
    assert np.isnan(theirs[3])
    assert np.flatnonzero(ours.constant).tolist() == [3, 5]
    assert ours.r[3] == ours.r[5] == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_constant_up_to_rounding_is_constant(dtype: type) -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(50, 2)).astype(dtype)
    noise = 7.3 + rng.normal(scale=np.finfo(dtype).eps, size=(50, 1))
    predicted = np.hstack([noise, truth[:, 1:]]).astype(dtype)
    assert correlate(truth, predicted).constant.tolist() == [True, False]


def test_too_few_units_are_flagged() -> None:
    found = correlate(column(1, 2), column(1, 2))
    assert found.constant.tolist() == [True]
    assert found.r.tolist() == [0]
    assert correlate(np.empty((0, 2)), np.empty((0, 2))).constant.all()
    assert pearson_per_gene(np.empty((5, 0)), np.empty((5, 0))).shape == (0,)


def test_block_size_does_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    truth, predicted = pair(3, genes=50)
    whole = moments((truth, predicted))
    monkeypatch.setattr(gene_correlation, "BLOCK_VALUES", 1)
    blocks = moments((truth, predicted))
    assert np.allclose(whole.products, blocks.products, rtol=1e-14, atol=1e-12)
    assert np.allclose(whole.rmse, blocks.rmse, rtol=1e-14)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("side", [0, 1])
def test_values_that_are_not_finite_are_refused(bad: float, side: int) -> None:
    matrices = pair(4)
    matrices[side][7, 30] = bad
    with pytest.raises(UserError, match=r"NaN, infinite or too far.*expected finite"):
        correlate(*matrices)


def test_shapes_must_match() -> None:
    with pytest.raises(UserError, match=r"\(4, 2\), \(4, 3\) do not match"):
        correlate(np.zeros((4, 2)), np.zeros((4, 3)))


@SHORT
@given(SEEDS, st.floats(0.01, 100), st.floats(-1000, 1000))
def test_scale_and_offset_of_the_prediction_do_not_matter(seed: int, scale: float, offset: float) -> None:
    truth, predicted = pair(seed, genes=4)
    r = pearson_per_gene(truth, predicted)
    assert pearson_per_gene(truth, scale * predicted + offset) == pytest.approx(r, abs=1e-9)
    assert pearson_per_gene(truth, -scale * predicted) == pytest.approx(-r, abs=1e-12)
    assert pearson_per_gene(predicted, truth) == pytest.approx(r, abs=1e-14)


@SHORT
@given(SEEDS)
def test_order_of_units_does_not_matter(seed: int) -> None:
    truth, predicted = pair(seed, genes=4)
    order = np.random.default_rng(seed).permutation(len(truth))
    assert pearson_per_gene(truth[order], predicted[order]) == pytest.approx(
        pearson_per_gene(truth, predicted), abs=1e-13
    )


def test_fold_means() -> None:
    truth, predicted = pair(5, n=33, genes=4)
    fold = np.array(["a"] * 15 + ["b"] * 16 + ["c"] * 2)  # c is too small for a correlation
    truth[:15, 1] = 4.0  # no correlation in a
    predicted[15:31, 2] = 4.0  # an answer in b that explains nothing
    truth[:, 3] = 4.0
    found = per_fold_mean(truth, predicted, fold)
    a, b = (
        np.array([stats.pearsonr(truth[s, g], predicted[s, g])[0] for g in (0,)]) for s in (fold == "a", fold == "b")
    )
    only_b = stats.pearsonr(truth[15:31, 1], predicted[15:31, 1])[0]
    half_a = stats.pearsonr(truth[:15, 2], predicted[:15, 2])[0] / 2
    assert found.r == pytest.approx([(a[0] + b[0]) / 2, only_b, half_a, 0], abs=1e-12)
    assert found.folds.tolist() == [2, 1, 2, 0]


def test_pooling_folds_punishes_the_training_mean_and_fold_means_do_not() -> None:
    rng = np.random.default_rng(0)
    truth, fold = rng.normal(size=(100, 300)), np.arange(100) % 5
    predicted = np.stack([truth[fold != f].mean(axis=0) for f in fold])
    assert pearson_per_gene(truth, predicted).mean() < -0.15
    assert (per_fold_mean(truth, predicted, fold).r == 0).all()


def test_patients_by_hand() -> None:
    values = np.array([[1, 10], [2, 20], [3, 30], [5, 60]], dtype=np.float32)
    patients, means = mean_by_patient(values, np.array(["p2", "p1", "p2", "p2"]))
    assert patients.tolist() == ["p1", "p2"]
    assert means.tolist() == [[2, 20], [3, pytest.approx(100 / 3)]]
    assert means.dtype == np.float32
    assert mean_by_patient(values.astype(int), np.arange(4))[1].dtype == np.float64


def test_patients_keep_shared_labels_and_constants() -> None:
    rng = np.random.default_rng(0)
    label = rng.normal(size=(20, 100))
    patient = np.repeat([f"p{i:02}" for i in range(20)], rng.integers(1, 6, 20))
    order = rng.permutation(len(patient))
    slides = np.repeat(label, np.unique(patient, return_counts=True)[1], axis=0)
    patients, means = mean_by_patient(slides[order], patient[order])
    assert patients.tolist() == sorted(set(patient))
    assert np.allclose(means, label, rtol=1e-14)
    assert correlate(*(mean_by_patient(np.full((9, 1), 0.1), np.arange(9) // 3)[1],) * 2).constant.all()


@pytest.mark.parametrize("patient", [["a", "", "b"], ["a", None, "b"], ["a", "b"], [1.0, np.nan, 2.0]])
def test_a_slide_without_patient_is_refused(patient: list[object]) -> None:
    with pytest.raises(UserError, match="of 3 units have a patient"):
        mean_by_patient(np.zeros((3, 2)), np.array(patient, dtype=object))


def test_errors_by_hand_and_against_sklearn() -> None:
    found = root_mean_squared_error(column(0, 1, 2, 3, 4), column(3, 1, 2, 3, 8))  # squares 9, 0, 0, 0, 16
    assert found.rmse == pytest.approx([np.sqrt(5)])
    assert found.by_interquartile_range == pytest.approx([np.sqrt(5) / (2 + 1e-5)], rel=1e-14)
    assert found.by_mean == pytest.approx([np.sqrt(5) / 2])
    sklearn = pytest.importorskip("sklearn.metrics")
    truth, predicted = pair(6)
    expected = sklearn.root_mean_squared_error(truth, predicted, multioutput="raw_values")
    found = root_mean_squared_error(truth, predicted)
    assert found.rmse == pytest.approx(expected, rel=1e-13)
    assert found.by_interquartile_range == pytest.approx(expected / (stats.iqr(truth, axis=0) + 1e-5), rel=1e-12)
    assert found.by_mean == pytest.approx(expected / truth.mean(axis=0), rel=1e-12)


def test_error_of_a_gene_that_is_never_expressed() -> None:
    found = root_mean_squared_error(np.zeros((4, 1)), np.ones((4, 1)))
    assert found.rmse == 1
    assert found.by_interquartile_range == pytest.approx(1e5)
    assert np.isnan(found.by_mean).tolist() == found.mean_is_zero.tolist() == [True]
    assert root_mean_squared_error(np.ones((4, 1)), np.ones((4, 1))).rmse == 0
    with pytest.raises(UserError, match="no unit"):
        root_mean_squared_error(np.empty((0, 1)), np.empty((0, 1)))


def test_top_genes() -> None:
    r = np.array([0.1, 0.9, 0.5, 0.9, -0.2])
    assert top_genes(r, 3).tolist() == [1, 3, 2]
    assert len(top_genes(r)) == 5
    assert top_median(r, np.array([False, True, True, False, True])) == 0.5
    assert top_median(r, np.array([0, 4])) == pytest.approx(-0.05)
    assert top_medians(r, count=3) == (0.9, None, 3)
    assert top_medians(r, -r, count=2) == (0.9, pytest.approx(-0.05), 2)
    with pytest.raises(UserError, match="no gene is chosen"):
        top_median(r, np.zeros(5, dtype=bool))
    with pytest.raises(UserError, match="4 genes to choose by, 5 to score"):
        top_medians(r, r[:4])


def test_choosing_on_the_test_data_makes_noise_look_like_skill() -> None:
    rng = np.random.default_rng(0)
    scored, other = (pearson_per_gene(*rng.normal(size=(2, 100, 4000))) for _ in range(2))
    found = top_medians(scored, other, count=200)
    assert found.as_published == pytest.approx(stats.norm.ppf(0.975) / np.sqrt(99), abs=0.01)
    assert abs(found.honest or 0) < 0.03


def test_mann_whitney() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.2, 0.1, 300), rng.normal(0.15, 0.1, 200)
    found = mann_whitney(a, b)
    assert found.p == stats.mannwhitneyu(a, b, alternative="greater").pvalue < 1e-3
    assert found.share == pytest.approx((a[:, None] > b).mean())
    assert mann_whitney(b, a).p > 0.99
    assert mann_whitney(a, a).share == 0.5
    assert mann_whitney(np.zeros(5), np.zeros(3)) == (7.5, 1, 0.5)
    with pytest.raises(UserError, match="not finite"):
        mann_whitney(a, np.array([np.nan]))


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1e200, 1e300])
def test_r_and_errors_at_scales_whose_squares_leave_float64(scale: float) -> None:
    truth, predicted = pair(4)
    columns = truth.shape[1]
    mixed = np.where(np.arange(columns) % 2, scale, 1.0)  # beside ordinary genes, whose every bit stays
    plain, found = correlate(truth, predicted), correlate(truth, predicted * mixed)
    np.testing.assert_array_equal(found.constant, plain.constant)
    np.testing.assert_array_equal(found.r[::2], plain.r[::2])
    np.testing.assert_allclose(found.r, plain.r, rtol=1e-12)
    both = moments((truth * scale, predicted * scale))
    np.testing.assert_allclose(both.correlation(0, 1).r, plain.r, rtol=1e-12)
    np.testing.assert_allclose(both.rmse, moments((truth, predicted)).rmse * scale, rtol=1e-12)


def test_a_power_of_two_changes_no_bit_of_r() -> None:
    truth, predicted = pair(5)
    np.testing.assert_array_equal(
        pearson_per_gene(truth, np.ldexp(predicted, -900)), pearson_per_gene(truth, predicted)
    )
