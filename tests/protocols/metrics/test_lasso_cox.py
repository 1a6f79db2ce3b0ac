"""The LASSO path and its cross-validation, against scikit-survival, the optimum's conditions and glmnet's formula."""

from __future__ import annotations

import numpy as np
import pytest

from protocols.errors import UserError
from protocols.metrics.concordance import Bool, Float, Int, outcome
from protocols.metrics.lasso_cox import cross_validated, deal, largest_penalty, lasso_path
from tests.protocols.metrics.test_cox import naive_partial_log_likelihood


def data(n: int = 120, genes: int = 20, seed: int = 0) -> tuple[Float, Float, Bool]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, genes))
    time = rng.exponential(np.exp(-0.7 * x[:, 0] + 0.5 * x[:, 1]))
    return (x - x.mean(0)) / x.std(0), time, rng.random(n) < 0.6


def slope(x: Float, time: Float, event: Bool, b: Float) -> Float:
    """Gradient of the mean log partial likelihood, patient by patient."""
    weight, total = np.exp(x @ b), np.zeros(len(b))
    for i in np.flatnonzero(event):
        at_risk = time >= time[i]
        total += x[i] - weight[at_risk] @ x[at_risk] / weight[at_risk].sum()
    return total / len(time)


def test_path_is_scikit_survivals() -> None:
    from sksurv.linear_model import CoxnetSurvivalAnalysis

    x, time, event = data()
    own = CoxnetSurvivalAnalysis(l1_ratio=1.0).fit(x, outcome(event, time))
    assert largest_penalty(x, time, event) == own.alphas_[0]
    assert largest_penalty(x, time, event) == pytest.approx(np.abs(slope(x, time, event, np.zeros(20))).max())
    ours = lasso_path(x, time, event, own.alphas_)
    assert ours.shape == own.coef_.shape
    np.testing.assert_allclose(ours, own.coef_, atol=2e-3)  # both stop at a tolerance of 1e-7


def test_path_meets_the_conditions_of_an_optimum() -> None:
    x, time, event = data()
    alphas = largest_penalty(x, time, event) * np.array([1.5, 1.0, 0.7, 0.4, 0.2])
    path = lasso_path(x, time, event, alphas)
    assert not path[:, :2].any()
    for alpha, b in zip(alphas, path.T, strict=True):
        steep = slope(x, time, event, b)
        assert np.abs(steep).max() <= alpha * 1.005
        np.testing.assert_allclose(steep[b != 0], alpha * np.sign(b[b != 0]), rtol=5e-3)


@pytest.mark.parametrize("seed", range(4))
def test_empty_models_at_the_start_do_not_end_a_path(seed: int) -> None:
    """Coxnet itself may give up after five of them, by rounding; a fold with a smaller largest penalty begins so."""
    x, time, event = data(300, 60, seed)
    alphas = np.geomspace(3 * largest_penalty(x, time, event), 0.02, 60)
    path = lasso_path(x, time, event, alphas)
    assert path.shape[1] == 60
    assert not path[:, alphas >= largest_penalty(x, time, event)].any()
    assert path[:, -1].any()


def test_criterion_is_the_one_of_verweij_and_van_houwelingen() -> None:
    x, time, event = data(60, 8)
    fold = deal(event, 3, 1)
    _, curve = cross_validated(x, time, event, fold, "min")
    for at in (0, 10, 30):
        gaps, weights = [], []
        for number in range(3):
            inside = fold != number
            b = lasso_path(x[inside], time[inside], event[inside], curve.alpha)[:, at]
            whole = naive_partial_log_likelihood(x @ b, time, event)
            part = naive_partial_log_likelihood(x[inside] @ b, time[inside], event[inside])
            weights.append(event[~inside].sum())
            gaps.append(-2 * (whole - part) / weights[-1])
        mean = np.average(gaps, weights=weights)
        assert curve.mean[at] == pytest.approx(mean)
        spread = np.average((np.array(gaps) - mean) ** 2, weights=weights)
        assert curve.standard_error[at] == pytest.approx(np.sqrt(spread / 2))
    assert curve.chosen == int(np.argmin(curve.mean))


def test_one_standard_error_is_the_sparsest_within_reach() -> None:
    x, time, event = data(200)
    fold = deal(event, 5, 0)
    _, least = cross_validated(x, time, event, fold, "min")
    found, curve = cross_validated(x, time, event, fold, "one_standard_error")
    limit = least.mean[least.chosen] + least.standard_error[least.chosen]
    assert 0 < curve.chosen < least.chosen
    assert curve.mean[curve.chosen] <= limit < curve.mean[curve.chosen - 1]
    assert np.count_nonzero(found) == curve.genes[curve.chosen] < least.genes[least.chosen]


def test_where_the_solver_gives_up_the_path_ends_and_nothing_wrong_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    from sksurv.linear_model import CoxnetSurvivalAnalysis

    x, time, event = data(60, 80)
    alphas = np.geomspace(0.3, 0.01, 60)
    whole = lasso_path(x, time, event, alphas)
    start = CoxnetSurvivalAnalysis.__init__

    def impatient(self: CoxnetSurvivalAnalysis, **given: object) -> None:
        start(self, **{**given, "max_iter": 300})

    monkeypatch.setattr(CoxnetSurvivalAnalysis, "__init__", impatient)
    short = lasso_path(x, time, event, alphas)
    assert 0 < short.shape[1] < whole.shape[1]
    np.testing.assert_allclose(short, whole[:, : short.shape[1]], atol=1e-6)


@pytest.mark.parametrize("folds", [2, 5])
def test_folds_hold_events_alike(folds: int) -> None:
    event = np.random.default_rng(0).random(103) < 0.2
    fold: Int = deal(event, folds, 3)
    for rows in (fold, fold[event]):
        sizes = np.bincount(rows, minlength=folds)
        assert sizes.max() - sizes.min() <= 1
    assert (fold == deal(event, folds, 3)).all()
    assert (fold != deal(event, folds, 4)).any()


def test_flat_data_are_refused() -> None:
    with pytest.raises(UserError, match="no gene has any slope"):
        largest_penalty(np.zeros((20, 2)), np.arange(1.0, 21.0), np.ones(20, bool))
