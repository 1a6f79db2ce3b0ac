"""Scores of a probability for a yes or no: by hand, against scikit-learn, and against DeLong's own sums."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from protocols.metrics.auc_influence import auc_values, interval_over_folds, over_folds, precision_values
from protocols.metrics.binary import (
    auc,
    average_precision,
    brier,
    calibration_error,
    chance_precision,
    net_benefit,
    placements,
    recalibration,
    reliability,
    treat_all,
)
from protocols.metrics.intervals import standard_error
from protocols.metrics.patient_values import mean_over_folds

NAN = float("nan")
YES_NO = np.array([True, True, False, False, False])


def drawn(seed: int, n: int = 60, tied: bool = False) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    response = np.arange(n) % 3 == 0
    score = 1 / (1 + np.exp(-rng.normal(size=n) - response))
    return response, score.round(1) if tied else score


def told(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float64)


def test_auc_by_hand() -> None:
    """.9 is above all three; .4 is above .1, ties with .4, below .5: (3 + 1.5) / 6."""
    assert auc(YES_NO, told(0.9, 0.4, 0.1, 0.4, 0.5)) == pytest.approx(0.75)
    assert placements(YES_NO, told(0.9, 0.4, 0.1, 0.4, 0.5)).tolist() == [1, 0.5, 1, 0.75, 0.5]


def test_ends_and_constants() -> None:
    perfect = YES_NO.astype(float)
    assert (auc(YES_NO, perfect), auc(YES_NO, 1 - perfect), auc(YES_NO, np.full(5, 0.3))) == (1.0, 0.0, 0.5)
    assert (average_precision(YES_NO, perfect), average_precision(YES_NO, np.full(5, 0.3))) == (1.0, 0.4)
    assert (brier(YES_NO, perfect), brier(YES_NO, 1 - perfect)) == (0.0, 1.0)
    assert (calibration_error(YES_NO, perfect), calibration_error(YES_NO, 1 - perfect)) == (0.0, 1.0)


@pytest.mark.parametrize("response", [np.ones(4, dtype=bool), np.zeros(4, dtype=bool)])
def test_one_outcome_alone_has_no_auc(response: np.ndarray) -> None:
    assert auc(response, told(0.1, 0.2, 0.3, 0.4)) is None
    assert auc_values(response, told(0.1, 0.2, 0.3, 0.4)) is None
    assert recalibration(response, told(0.1, 0.2, 0.3, 0.4)).intercept is None


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_as_scikit_learn(seed: int, tied: bool) -> None:
    response, score = drawn(seed, tied=tied)
    assert auc(response, score) == pytest.approx(roc_auc_score(response, score), abs=1e-12)
    assert average_precision(response, score) == pytest.approx(average_precision_score(response, score), abs=1e-12)
    assert brier(response, score) == pytest.approx(brier_score_loss(response, score), abs=1e-12)


def test_who_is_missing_is_the_worst_answer() -> None:
    """The second responder is below all three others, the last other above both: 2 of 6 pairs."""
    known, missing = told(0.9, 0.4, 0.1, 0.4, 0.5), told(0.9, NAN, 0.1, 0.4, NAN)
    assert auc(YES_NO, missing) == pytest.approx(2 / 6)
    assert brier(YES_NO, missing) == pytest.approx((0.01 + 1 + 0.01 + 0.16 + 1) / 5)
    assert net_benefit(YES_NO, missing, 0.5) == pytest.approx(1 / 5 - 1 / 5)
    assert auc(YES_NO, known) == pytest.approx(0.75)


def delong_variance(response: np.ndarray, scores: list[np.ndarray]) -> np.ndarray:
    """DeLong, DeLong & Clarke-Pearson 1988, equations 4 to 7, by their double sums: the matrix of ``scores``' AUCs."""
    m, n = int(response.sum()), int((~response).sum())
    v10, v01 = np.zeros((len(scores), m)), np.zeros((len(scores), n))
    for k, score in enumerate(scores):
        for i, x in enumerate(score[response]):
            for j, y in enumerate(score[~response]):
                psi = 1.0 if y < x else 0.5 if y == x else 0.0
                v10[k, i] += psi / n
                v01[k, j] += psi / m
    return np.atleast_2d(np.cov(v10)) / m + np.atleast_2d(np.cov(v01)) / n


@pytest.mark.parametrize("tied", [False, True])
def test_variance_is_delongs(tied: bool) -> None:
    """Of one AUC, and of the difference of two on the same patients."""
    response, score = drawn(1, tied=tied)
    other = drawn(2, tied=tied)[1]
    covariance = delong_variance(response, [score, other])
    names = [f"{k:02d}" for k in range(60)]
    found = [auc_values(response, one) for one in (score, other)]
    assert found[0] is not None
    assert found[1] is not None
    one = mean_over_folds({"": (names, found[0])})
    assert one.mean == pytest.approx(auc(response, score))
    assert standard_error(one) ** 2 == pytest.approx(covariance[0, 0])
    gap = found[0] - found[1]
    expected = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    assert gap.var(ddof=1) / 60 == pytest.approx(expected)


def test_average_precision_without_a_patient() -> None:
    response, score = drawn(3, n=20)
    values = precision_values(response, score)
    assert values is not None
    whole = average_precision_score(response, score)
    assert values.mean() == pytest.approx(whole)
    without = [average_precision_score(np.delete(response, k), np.delete(score, k)) for k in range(20)]
    moved = 19 * (whole - np.array(without))
    for members in (response, ~response):
        assert values[members] == pytest.approx(whole + moved[members] - moved[members].mean())


@pytest.mark.parametrize(("n", "m"), [(30, 9), (8, 1), (5, 5)])
def test_precision_of_chance_is_that_of_permutations(n: int, m: int) -> None:
    response = np.arange(n) < m
    rng = np.random.default_rng(0)
    drawn_ = [average_precision_score(response, rng.random(n)) for _ in range(4000)]
    assert chance_precision(response) == pytest.approx(np.mean(drawn_), abs=4 * np.std(drawn_) / 60 + 1e-9)


def test_recalibration_is_the_maximum_of_the_likelihood() -> None:
    response, score = drawn(4, n=300)
    logit = np.log(score / (1 - score))

    def loss(at: np.ndarray) -> float:
        return float(np.sum(np.logaddexp(0, np.where(response, -1, 1) * (at[0] + at[1] * logit))))

    found = recalibration(response, score)
    assert found.slope == pytest.approx(minimize(loss, [0.0, 1.0]).x[1], abs=1e-4)

    def loss_at_slope_1(at: np.ndarray) -> float:
        return loss(np.array([at[0], 1.0]))

    in_the_large = minimize(loss_at_slope_1, [0.0]).x[0]
    assert found.intercept == pytest.approx(in_the_large, abs=1e-4)


def test_recalibration_sees_what_was_done_to_a_calibrated_probability() -> None:
    rng = np.random.default_rng(0)
    logit = rng.normal(-0.5, 1.5, 40_000)
    response = rng.random(40_000) < 1 / (1 + np.exp(-logit))
    right, spread, shifted = (recalibration(response, 1 / (1 + np.exp(-x))) for x in (logit, 2 * logit, logit + 0.7))
    assert [right.slope, right.intercept] == pytest.approx([1, 0], abs=0.05)
    assert spread.slope == pytest.approx(0.5, abs=0.03)
    assert [shifted.slope, shifted.intercept] == pytest.approx([1, -0.7], abs=0.05)


def test_a_slope_that_is_not_defined() -> None:
    constant = recalibration(YES_NO, np.full(5, 0.2))
    assert constant.slope is None
    assert constant.intercept == pytest.approx(np.log(0.4 / 0.6) - np.log(0.2 / 0.8))
    assert recalibration(YES_NO, told(0.9, 0.8, 0.1, 0.2, 0.3)).slope is None  # separated


def test_bins_by_hand() -> None:
    """.1 and .15 in one bin (told .125, none responded), .95 and 1 in the last (told .975, one of two)."""
    response, p = np.array([False, False, True, False]), told(0.1, 0.15, 0.95, 1.0)
    assert [(one.low, one.n) for one in reliability(response, p)] == [(0.1, 2), (0.9, 2)]
    assert calibration_error(response, p) == pytest.approx((2 * 0.125 + 2 * 0.475) / 4)


def test_net_benefit_by_hand() -> None:
    """At .25: treated .9, .4, .4, .5, so two true and two false of five at odds of 1 to 3."""
    p = told(0.9, 0.4, 0.1, 0.4, 0.5)
    assert net_benefit(YES_NO, p, 0.25) == pytest.approx(2 / 5 - 2 / 5 / 3)
    assert treat_all(YES_NO, 0.25) == pytest.approx(2 / 5 - 3 / 5 / 3)
    assert treat_all(YES_NO, 0.4) == pytest.approx(0)
    assert net_benefit(YES_NO, p, 0.95) == 0  # nobody


@pytest.mark.parametrize(
    ("responders", "others", "reason"),
    [
        (9, 60, "9 of the 10 patients of either outcome that an interval needs"),
        (12, 12, "24 of the 30 patients that an interval needs"),
        (20, 20, ""),
    ],
)
def test_who_gets_an_interval(responders: int, others: int, reason: str) -> None:
    rng = np.random.default_rng(0)
    response = np.arange(responders + others) < responders
    names = [str(k) for k in range(len(response))]
    folds = {"a": (names, response, rng.random(len(response)))}
    found = interval_over_folds(over_folds(folds, auc_values), folds)
    assert found.reason == reason
    assert (found.low is None) == bool(reason)
