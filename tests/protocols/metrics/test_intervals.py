"""Intervals by hand and against independent libraries; when there is none, and why."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from protocols.metrics.concordance import FoldOutcome, harrell
from protocols.metrics.concordance_influence import fold_concordance, mean_concordance
from protocols.metrics.correlation_influence import LEAST_IN_FOLD, mean_correlation, unbiased
from protocols.metrics.intervals import FISHER, MEAN_LEVEL, UNIT, fold_interval, mean_interval, standard_error
from protocols.metrics.patient_values import PatientValues, mean_over_cohorts, mean_over_folds, plain_mean


def test_a_mean_is_student_t_as_scipy_has_it() -> None:
    values = np.random.default_rng(0).normal(0.4, 0.1, 9)
    found = mean_interval({f"p{i}": float(value) for i, value in enumerate(values)})
    theirs = stats.t.interval(MEAN_LEVEL, 8, loc=values.mean(), scale=stats.sem(values))
    assert (found.low, found.high) == pytest.approx(theirs)
    assert (found.mean, found.n_patients, found.reason) == (pytest.approx(values.mean()), 9, "")


def test_too_few_patients_have_a_reason_instead() -> None:
    assert mean_interval({}).reason == "no patient has a value"
    two = mean_interval({"a": 0.1, "b": 0.3})
    assert (two.mean, two.low, two.reason) == (pytest.approx(0.2), None, "2 of the 3 patients that an interval needs")


def test_the_order_of_patients_does_not_matter() -> None:
    values = {f"p{i}": 0.1 * i * i for i in range(7)}
    assert mean_interval(values) == mean_interval(dict(reversed(values.items())))


def test_strata_are_independent_samples() -> None:
    """The standard error of a difference-like sum is that of Welch."""
    rng = np.random.default_rng(1)
    a, b = rng.normal(0, 1, 6), rng.normal(0, 3, 11)
    values = mean_over_folds({"a": ([f"a{i}" for i in range(6)], a), "b": ([f"b{i}" for i in range(11)], b)})
    assert values.mean == pytest.approx((a.mean() + b.mean()) / 2)
    assert standard_error(values) == pytest.approx(0.5 * np.sqrt(a.var(ddof=1) / 6 + b.var(ddof=1) / 11))


def test_cohorts_of_an_average_weigh_the_same() -> None:
    one, two = plain_mean({"p": 1.0, "q": 3.0}), plain_mean({"p": 10.0})
    both = mean_over_cohorts({"x": one, "y": two})
    assert both.mean == pytest.approx((2 + 10) / 2)
    assert both.patient == ("x/p", "x/q", "y/p")
    again = PatientValues.from_dict(both.to_dict())
    assert (again.patient, again.stratum, again.mean) == (both.patient, both.stratum, both.mean)


def test_olkin_and_pratt_by_hand() -> None:
    """n = 6 has a closed form: F(1/2, 1/2; 2; x) by elliptic integrals; and the values at the ends."""
    from scipy.special import ellipe, ellipk

    x = 1 - 0.6**2
    closed = 4 / np.pi / x * (ellipe(x) - (1 - x) * ellipk(x))
    assert unbiased(np.array([0.6]), 6)[0] == pytest.approx(0.6 * closed)
    np.testing.assert_array_equal(unbiased(np.array([0.0, 1.0, -1.0]), 10), [0.0, 1.0, -1.0])
    np.testing.assert_array_equal(unbiased(np.array([0.7]), 3), [0.7])


def test_the_case_of_ten_patients_a_fold() -> None:
    """Five folds of ten, a hundred independent genes, true r .8: the resamples' interval was [.744, .778]."""
    rng = np.random.default_rng(0)
    folds = []
    for name in "abcde":
        truth = rng.normal(size=(10, 100))
        folds.append((name, [f"{name}{i}" for i in range(10)], truth, 0.8 * truth + 0.6 * rng.normal(size=(10, 100))))
    found = mean_correlation(folds)
    interval = fold_interval(found.values, FISHER, least=0, least_in_fold=LEAST_IN_FOLD)
    assert interval.low is not None
    assert interval.high is not None
    assert interval.low < 0.8 < interval.high
    assert interval.low < (interval.mean or 0) < interval.high
    plain = np.mean([np.corrcoef(t[:, k], p[:, k])[0, 1] for _, _, t, p in folds for k in range(100)])
    assert plain == pytest.approx(0.78, abs=0.01)
    assert interval.mean == pytest.approx(0.8, abs=0.015)
    assert interval.mean == pytest.approx(float(found.r.mean()))


def test_influences_are_what_leaving_out_and_reweighting_give() -> None:
    """Small r: the blend is nearly the delete-one jackknife, here by refitting without each patient."""
    rng = np.random.default_rng(3)
    truth, predicted = rng.normal(size=(8, 1)), rng.normal(size=(8, 1))
    r = float(np.corrcoef(truth[:, 0], predicted[:, 0])[0, 1])
    rows = np.arange(8)
    without = np.array([np.corrcoef(truth[rows != i, 0], predicted[rows != i, 0])[0, 1] for i in rows])
    deleted = 7 * (r - without)
    step = 1e-6
    moved = [np.cov(truth[:, 0], predicted[:, 0], aweights=np.where(rows == i, 1 + 8 * step, 1.0)) for i in rows]
    infinitesimal = np.array([(c[0, 1] / np.sqrt(c[0, 0] * c[1, 1]) - r) / step for c in moved])
    blend = (1 - r * r) * deleted + r * r * infinitesimal
    values = mean_correlation([("0", [f"p{i}" for i in rows], truth, predicted)]).values
    np.testing.assert_allclose(values.value - values.mean, blend - blend.mean(), atol=1e-4)


def test_constant_genes_have_no_influence_and_keep_their_place_in_the_mean() -> None:
    rng = np.random.default_rng(4)
    truth, predicted = rng.normal(size=(9, 4)), rng.normal(size=(9, 4))
    predicted[:, 1], truth[:, 2] = 0.5, 3.0
    found = mean_correlation([("0", [f"p{i}" for i in range(9)], truth, predicted)])
    assert found.r[1] == found.r[2] == 0
    assert found.values.mean == pytest.approx(float(found.r.mean()))
    tiny = mean_correlation([("0", [f"p{i}" for i in range(9)], truth * 1e-300, predicted * 1e-300)])
    assert np.isfinite(tiny.values.value).all()


def test_concordance_by_patient_is_what_leaving_out_gives() -> None:
    rng = np.random.default_rng(5)
    time, event, risk = rng.exponential(10, 12), rng.random(12) < 0.6, rng.normal(size=12)
    values = fold_concordance(FoldOutcome("0", time, event, risk))
    c = harrell(time, event, risk).value
    assert values is not None
    assert c is not None
    assert values.mean() == pytest.approx(c)
    kept = [np.arange(12) != i for i in range(12)]
    without = np.array([harrell(time[k], event[k], risk[k]).value for k in kept])
    deleted = 11 * (c - without)
    np.testing.assert_allclose(values - c, deleted - deleted.mean(), atol=1e-12)


def test_a_fold_without_a_comparable_pair_is_left_out() -> None:
    nothing = FoldOutcome("a", np.array([1.0, 2.0]), np.zeros(2, bool), np.zeros(2))
    assert mean_concordance({"a": (["p", "q"], nothing)}) is None
    rng = np.random.default_rng(6)
    whole = FoldOutcome("b", rng.exponential(10, 40), rng.random(40) < 0.6, rng.normal(size=40))
    found = mean_concordance({"a": (["p", "q"], nothing), "b": ([f"b{i}" for i in range(40)], whole)})
    assert found is not None
    assert (len(found), found.mean) == (40, pytest.approx(harrell(whole.time, whole.event, whole.risk).value))


def test_perfect_scores_and_small_folds_have_a_reason() -> None:
    perfect = mean_over_folds({"0": (["a", "b", "c"], np.ones(3))})
    assert fold_interval(perfect, UNIT, least=2).reason == "at the end of its scale"
    few = fold_interval(mean_over_folds({"0": (["a", "b"], np.array([0.4, 0.6]))}), UNIT, least=30)
    assert few.reason == "2 of the 30 patients that an interval needs"
    small = fold_interval(
        mean_over_folds({"0": (["a", "b"], np.array([0.4, 0.6]))}), FISHER, least=0, least_in_fold=LEAST_IN_FOLD
    )
    assert small.reason == "a fold of 2 patients; an interval needs 5"
