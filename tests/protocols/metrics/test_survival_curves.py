"""Kaplan-Meier, log-rank, risk tables, Brier score and AUC: by hand, against statsmodels, and at their edges."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.metrics.survival_curves import (
    LEAST_WITH_BAND,
    at_risk,
    evaluation_grid,
    high_risk,
    high_risk_by_fold,
    high_risk_pooled,
    integrated_brier,
    kaplan_meier,
    logrank_p,
    mean_auc,
    risk_table_times,
    step_at,
)

Z = 1.959963984540054


def follow_up(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Months, rounded so that many are tied, events and the log-hazard behind them."""
    rng = np.random.default_rng(seed)
    risk = rng.normal(size=n)
    death, end = rng.exponential(30 * np.exp(-risk)), rng.uniform(5, 60, n)
    return np.ceil(np.minimum(death, end)), death <= end, risk


def test_kaplan_meier_by_hand() -> None:
    # At risk 20, 16, 8: survival 4/5, then 4/5 * 3/4 = 3/5, then 3/5 * 1/2 = 3/10; four are censored at 3 and at 6.
    time, event = np.array([1.0, 2.0, 3.0, 5.0, 6.0]), np.array([True, True, False, True, False])
    curve = kaplan_meier(np.repeat(time, 4), np.repeat(event, 4))
    np.testing.assert_allclose(curve.time, [0, 1, 2, 5, 6])
    np.testing.assert_allclose(curve.survival, [1, 0.8, 0.6, 0.3, 0.3], atol=1e-12)
    greenwood = np.cumsum([4 / (20 * 16), 4 / (16 * 12), 4 / (8 * 4)])
    assert curve.low is not None
    assert curve.high is not None
    spread = Z * np.sqrt(greenwood) / np.log(curve.survival[1:4])
    np.testing.assert_allclose(curve.low[1:4], curve.survival[1:4] ** np.exp(-spread), atol=1e-9)
    np.testing.assert_allclose(curve.high[1:4], curve.survival[1:4] ** np.exp(spread), atol=1e-9)
    assert (curve.n, curve.events, curve.high[0]) == (20, 12, 1.0)
    assert curve.low[0] == pytest.approx(0.832, abs=5e-4)  # nobody of 20: .025^(1/20)
    few = kaplan_meier(time, event)
    assert few.survival.tolist() == pytest.approx(curve.survival.tolist())
    assert (few.low, few.high) == (None, None)


@given(st.integers(2, 60), st.integers(0, 5000))
def test_kaplan_meier_against_statsmodels(n: int, seed: int) -> None:
    from statsmodels.duration.survfunc import SurvfuncRight

    time, event, _ = follow_up(n, seed)
    curve = kaplan_meier(time, event)
    assert np.all(np.diff(curve.survival) <= 0)
    assert (curve.low is None) == (curve.high is None) == (n < LEAST_WITH_BAND)
    if curve.low is not None and curve.high is not None:
        assert np.all(curve.low <= curve.survival)
        assert np.all(curve.survival <= curve.high)
    if event.any():
        theirs = SurvfuncRight(time, event.astype(int))
        np.testing.assert_allclose(
            step_at(curve.time[1:], curve.survival[None, 1:], theirs.surv_times)[0], theirs.surv_prob, atol=1e-12
        )


def test_at_survival_zero_the_band_stays_open() -> None:
    curve = kaplan_meier(np.arange(1.0, 31.0), np.ones(30, bool))
    assert curve.low is not None
    assert curve.high is not None
    assert (curve.survival[-1], curve.low[-1]) == (0.0, 0.0)
    assert curve.high[-1] == curve.high[-2] > 0


def test_without_an_event_the_curve_is_flat() -> None:
    curve = kaplan_meier(np.repeat([1.0, 2.0], 20), np.zeros(40, bool))
    assert curve.low is not None
    assert curve.high is not None
    assert curve.time.tolist() == [0.0, 2.0]
    assert curve.survival.tolist() == curve.high.tolist() == [1.0, 1.0]
    assert curve.low.tolist() == pytest.approx([0.8316, 0.8316], abs=1e-4)  # 20 are followed to the end


def band_coverage(n: int, survival: float, censoring: float, repetitions: int) -> float:
    """Share of bands over the true survival, of exponential times, at the time when it is ``survival``."""
    rng = np.random.default_rng([n, int(100 * survival), int(10 * censoring)])
    at, hits = -np.log(survival), 0
    for _ in range(repetitions):
        death = rng.exponential(1.0, n)
        end = rng.exponential(1 / censoring, n) if censoring else np.full(n, np.inf)
        curve = kaplan_meier(np.minimum(death, end), death <= end)
        step = np.searchsorted(curve.time, at, side="right") - 1
        assert curve.low is not None
        assert curve.high is not None
        hits += bool(curve.low[step] <= survival <= curve.high[step])
    return hits / repetitions


@pytest.mark.parametrize(("n", "survival"), [(20, 0.9), (20, 0.5), (75, 0.5)])
def test_bands_cover(n: int, survival: float) -> None:
    assert 0.93 - 2 * 0.0081 <= band_coverage(n, survival, 0.5, 1000) <= 0.97 + 2 * 0.0054


@pytest.mark.simulation
@pytest.mark.parametrize("censoring", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("survival", [0.9, 0.75, 0.5, 0.25])
@pytest.mark.parametrize("n", [20, 30, 75, 150])
def test_every_band_covers(n: int, survival: float, censoring: float) -> None:
    """2,000 repetitions, bounds of .93 to .97 within two Monte Carlo errors; halves of 40 to 300 patients."""
    found = band_coverage(n, survival, censoring, 2000)
    print(f"{n} patients, survival {survival}, censoring {censoring}: {found:.3f}")
    assert 0.93 - 2 * 0.0057 <= found <= 0.97 + 2 * 0.0038


@given(st.integers(4, 80), st.integers(0, 5000))
def test_logrank_against_statsmodels(n: int, seed: int) -> None:
    from statsmodels.duration.survfunc import survdiff

    time, event, risk = follow_up(n, seed)
    group = (risk > 0).astype(np.int64)
    p = logrank_p(time, event, group)
    assert p == logrank_p(time, event, 1 - group) or p == pytest.approx(logrank_p(time, event, 1 - group))
    if p is not None:
        assert p == pytest.approx(survdiff(time, event.astype(int), group)[1], abs=1e-9)


def test_logrank_by_hand() -> None:
    # Events at 1 (group 1; 2 of 4 at risk are in it) and 2 (group 1; 1 of 3): expected 1/2 + 1/3, variance 1/4 + 2/9.
    from scipy.stats import chi2

    time, event, group = np.array([1.0, 2.0, 3.0, 4.0]), np.array([True, True, False, False]), np.array([1, 1, 0, 0])
    assert logrank_p(time, event, group) == pytest.approx(chi2.sf((2 - 5 / 6) ** 2 / (1 / 4 + 2 / 9), 1), abs=1e-12)


@pytest.mark.parametrize(
    ("time", "event", "group"),
    [
        ([1, 2, 3], [True, True, False], [0, 0, 0]),
        ([1, 2, 3], [False, False, False], [0, 1, 0]),
        ([1, 2, 3, 4], [False, False, True, True], [0, 0, 1, 1]),
        ([5, 5], [True, True], [0, 1]),
    ],
    ids=["one group", "no event", "events after one group is gone", "all at once"],
)
def test_logrank_without_a_comparison(time: list[float], event: list[bool], group: list[int]) -> None:
    assert logrank_p(np.array(time, float), np.array(event), np.array(group)) is None


def test_groups_are_made_within_each_fold() -> None:
    risks = [np.array([1.0, 2.0, 3.0, 4.0]), np.array([101.0, 102.0])]  # the second fold's model has another scale
    assert high_risk_by_fold(risks).tolist() == [False, False, True, True, False, True]
    assert high_risk_pooled(risks).tolist() == [False, False, False, True, True, True]
    assert not high_risk(np.full(5, 2.0)).any()
    assert high_risk(np.array([1.0, 2.0, 3.0])).tolist() == [False, False, True]  # the median itself is low


def test_risk_table() -> None:
    time = np.array([1.0, 12.0, 12.5, 30.0])
    assert at_risk(time, np.array([0.0, 12.0, 24.0, 36.0])).tolist() == [4, 3, 1, 0]
    columns = risk_table_times(np.linspace(0, 125, 200))
    assert columns.tolist() == [0, 24, 48, 72, 96, 120]


def test_grid_lies_inside_both_follow_ups() -> None:
    train_time, train_event, _ = follow_up(200, 1)
    time = np.array([6.0, 12.0, 15.0])
    grid = evaluation_grid(train_time, train_event, time)
    assert grid is not None
    low, high = np.percentile(train_time[train_event], [10, 90])
    assert max(low, 6.0) < grid[0] < grid[-1] < min(high, 15.0)
    assert evaluation_grid(train_time, np.zeros(200, bool), time) is None
    assert evaluation_grid(train_time, train_event, np.array([1000.0, 1001.0])) is None


def test_steps_hold_their_last_value() -> None:
    grid = step_at(np.array([1.0, 3.0]), np.array([[0.8, 0.5]]), np.array([0.5, 1.0, 2.9, 3.0, 99.0]))
    assert grid.tolist() == [[1.0, 0.8, 0.8, 0.5, 0.5]]


def test_brier_by_hand_without_censoring() -> None:
    # Then every weight is one and the score at t is the mean square of (still alive at t) minus the prediction.
    rng = np.random.default_rng(0)
    time, event = rng.uniform(1, 20, 80), np.ones(80, bool)
    times = np.linspace(1, 20, 60)
    survival = np.exp(-times[None, :] / rng.uniform(5, 20, 80)[:, None])
    grid = evaluation_grid(time, event, time)
    assert grid is not None
    square = (step_at(times, survival, grid) - (time[:, None] > grid[None, :])) ** 2
    expected = np.trapezoid(square.mean(axis=0), grid) / (grid[-1] - grid[0])
    assert integrated_brier(time, event, time, event, times, survival) == pytest.approx(expected, abs=1e-9)


def test_brier_is_best_for_the_truth() -> None:
    train_time, train_event, _ = follow_up(400, 2)
    time, event, risk = follow_up(400, 3)
    times = np.arange(1.0, 61.0)
    truth = np.exp(-np.exp(risk)[:, None] * times[None, :] / 30)
    scores = [
        integrated_brier(train_time, train_event, time, event, times, curves)
        for curves in (truth, np.repeat(truth.mean(axis=0)[None], 400, axis=0), truth[::-1], np.full((400, 60), 0.5))
    ]
    assert scores[0] == min(scores)  # type: ignore[type-var]
    assert scores[2] == max(scores)  # type: ignore[type-var]
    assert scores[3] == pytest.approx(0.25, abs=0.02)  # one half for all, but for the noise of the weights


def test_auc_by_hand_without_censoring() -> None:
    time, event = np.arange(1.0, 41.0), np.ones(40, bool)
    assert mean_auc(time, event, time, event, -time) == pytest.approx(1.0)
    assert mean_auc(time, event, time, event, time) == pytest.approx(0.0)
    assert mean_auc(time, event, time, event, np.zeros(40)) == pytest.approx(0.5)


@given(st.integers(0, 2000), st.integers(3, 30))
def test_scores_are_numbers_or_none_whatever_the_follow_up(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    train_time, train_event, _ = follow_up(int(rng.integers(2, 30)), seed)
    time, event, risk = follow_up(n, seed + 1)
    time = time * rng.choice([0.1, 1.0, 20.0])  # test follow-up shorter or longer than training's
    auc = mean_auc(train_time, train_event, time, event, risk)
    times = np.array([5.0, 20.0])
    brier = integrated_brier(train_time, train_event, time, event, times, np.full((n, 2), 0.5))
    assert auc is None or 0 <= auc <= 1
    assert brier is None or brier >= 0


def test_without_a_test_event_there_is_no_brier_score_and_no_auc() -> None:
    train_time, train_event, _ = follow_up(50, 4)
    time, _, risk = follow_up(20, 5)
    none = np.zeros(20, bool)
    assert mean_auc(train_time, train_event, time, none, risk) is None
    assert integrated_brier(train_time, train_event, time, none, np.array([5.0]), np.full((20, 1), 0.5)) is None
