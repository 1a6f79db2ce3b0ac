"""Cox regression: by hand, against statsmodels and scikit-survival, and where there is no estimate."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.errors import UserError
from protocols.metrics.concordance import Bool, Float, outcome
from protocols.metrics.cox import (
    HazardRatio,
    cox_hazard_ratios,
    design,
    deviance,
    partial_log_likelihood,
    wald_p_of_interval,
)


def cohort(n: int = 200, seed: int = 0, ties: bool = True) -> tuple[pd.DataFrame, Float, Bool]:
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(rng.normal(size=(n, 3)), columns=["a", "b", "c"]).assign(d=rng.integers(0, 2, n))
    time = rng.exponential(np.exp(-0.8 * table["a"].to_numpy() + 0.3 * table["d"].to_numpy())) * 10
    return table, np.ceil(time) if ties else time, rng.random(n) < 0.6


def test_three_patients_by_hand() -> None:
    """x = 1, 0, 1, events in that order: l' = 1 - 2r/(2r+1) - r/(1+r) is zero at r = 1/√2."""
    (found,) = cox_hazard_ratios(np.array([1.0, 2.0, 3.0]), np.ones(3, bool), pd.DataFrame({"x": [1.0, 0.0, 1.0]}))
    r = 1 / math.sqrt(2)
    error = 1 / math.sqrt(2 * r / (2 * r + 1) ** 2 + r / (1 + r) ** 2)
    assert found.hazard_ratio == pytest.approx(r, abs=1e-9)
    assert found.low == pytest.approx(r * math.exp(-1.959963984540054 * error), rel=1e-8)
    assert found.high == pytest.approx(r * math.exp(1.959963984540054 * error), rel=1e-8)
    assert found.p == pytest.approx(math.erfc(abs(math.log(r)) / error / math.sqrt(2)), rel=1e-8)
    assert (found.n, found.events) == (3, 3)


@pytest.mark.parametrize("ties", [True, False])
def test_statsmodels_agrees(ties: bool) -> None:
    from statsmodels.duration.hazard_regression import PHReg

    table, time, event = cohort(ties=ties)
    assert (len(np.unique(time[event])) < event.sum()) == ties
    other = PHReg(time, table.to_numpy(dtype=float), status=event.astype(int), ties="efron").fit()
    found = cox_hazard_ratios(time, event, table)
    np.testing.assert_allclose([one.hazard_ratio for one in found], np.exp(other.params), rtol=1e-7)
    np.testing.assert_allclose([(one.low, one.high) for one in found], np.exp(other.conf_int()), rtol=1e-6)
    np.testing.assert_allclose([one.p for one in found], other.pvalues, rtol=1e-5)


def test_scikit_survival_agrees_on_efrons_ties_and_differs_on_breslows() -> None:
    from sksurv.linear_model import CoxPHSurvivalAnalysis

    table, time, event = cohort()
    found = np.log([one.hazard_ratio for one in cox_hazard_ratios(time, event, table)])
    by = {
        ties: CoxPHSurvivalAnalysis(ties=ties, tol=1e-12).fit(table.to_numpy(float), outcome(event, time)).coef_
        for ties in ("efron", "breslow")
    }
    np.testing.assert_allclose(found, by["efron"], rtol=1e-6)
    assert np.abs(found - by["breslow"]).max() > 1e-3


def test_strata_have_a_baseline_of_their_own() -> None:
    from statsmodels.duration.hazard_regression import PHReg

    table, time, event = cohort()
    strata = ["u", "v"] * 100
    stretched = np.where(np.array(strata) == "u", time, time**3)  # each stratum keeps its order
    found = cox_hazard_ratios(stretched, event, table, strata=strata)
    assert found == cox_hazard_ratios(np.where(np.array(strata) == "u", time, time**2), event, table, strata=strata)
    other = PHReg(time, table.to_numpy(float), status=event.astype(int), strata=np.array(strata), ties="efron").fit()
    np.testing.assert_allclose([one.hazard_ratio for one in found], np.exp(other.params), rtol=1e-6)


@settings(max_examples=10, deadline=None)
@given(st.floats(0.01, 1e6), st.floats(-1e3, 1e3), st.integers(0, 99))
def test_units_and_origin_of_a_covariate_do_not_matter(scale: float, shift: float, seed: int) -> None:
    table, time, event = cohort(60, seed)
    first = cox_hazard_ratios(time, event, table[["a"]])[0]
    moved = cox_hazard_ratios(time, event, table[["a"]] * scale + shift * scale)[0].per(scale)
    assert moved.hazard_ratio == pytest.approx(first.hazard_ratio, rel=1e-6)
    assert moved.p == pytest.approx(first.p, rel=1e-5)


def test_per_units_and_the_other_way_round() -> None:
    one = HazardRatio("x", 2.0, 1.5, 8 / 3, 0.001, 10, 5)
    assert one.per(2.0).hazard_ratio == pytest.approx(4.0)
    turned = one.per(-1.0, "protective")
    assert (turned.name, turned.p) == ("protective", 0.001)
    assert (turned.low, turned.hazard_ratio, turned.high) == pytest.approx((3 / 8, 1 / 2, 2 / 3))


def test_a_ratio_per_unit_beyond_any_float_is_bounded() -> None:
    table, time, event = cohort()
    found = cox_hazard_ratios(time, event, table[["a"]] * 1e-9)[0]
    assert 1 < found.hazard_ratio < float("inf")
    assert found.p == pytest.approx(cox_hazard_ratios(time, event, table[["a"]])[0].p)


def rare_without_events(event: Bool) -> Float:
    rare = np.zeros(len(event))
    rare[np.flatnonzero(~event)[:6]] = 1
    return rare


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        (lambda t, time, event: {"a": t["a"], "b": 0.1 + 0.2}, "covariate b is constant"),
        (lambda t, time, event: {"s": event.astype(float)}, "no estimate for s"),
        (lambda t, time, event: {"s": -time}, "no estimate for s"),
        (lambda t, time, event: {"s": rare_without_events(event)}, "no estimate for s"),
        (lambda t, time, event: {"a": t["a"], "b": 2 * t["a"]}, "no estimate for a, b"),
        (lambda t, time, event: {"a": t["a"].where(t["a"] < 2)}, "covariate a has holes"),
        (lambda t, time, event: {"a": ["x"] * len(t)}, "covariate a is not a number"),
        (lambda t, time, event: {f"x{i}": np.random.default_rng(i).normal(size=200) for i in range(150)}, "covariates"),
    ],
)
def test_no_estimate_is_one_clear_line(columns: object, says: str) -> None:
    table, time, event = cohort()
    with pytest.raises(UserError, match=says) as caught:
        cox_hazard_ratios(time, event, pd.DataFrame(columns(table, time, event)))  # type: ignore[operator]
    assert "\n" not in str(caught.value)


def test_no_event_and_misaligned_tables_are_refused() -> None:
    table, time, event = cohort()
    with pytest.raises(UserError, match="0 events for 1 covariates"):
        cox_hazard_ratios(time, event & False, table[["a"]])
    with pytest.raises(UserError, match="199 times"):
        cox_hazard_ratios(time[1:], event, table[["a"]])
    with pytest.raises(UserError, match="covariate a twice"):
        cox_hazard_ratios(time, event, table[["a", "a"]])


def naive_partial_log_likelihood(score: Float, time: Float, event: Bool) -> float:
    return sum(
        score[i] - math.log(sum(math.exp(score[j]) for j in range(len(time)) if time[j] >= time[i]))
        for i in range(len(time))
        if event[i]
    )


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 30), st.integers(0, 10_000))
def test_partial_likelihood_is_the_double_sum(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    time, event = rng.integers(1, 8, n).astype(float), rng.random(n) < 0.5
    scores = rng.normal(size=(n, 3))
    expected = [naive_partial_log_likelihood(scores[:, k], time, event) for k in range(3)]
    np.testing.assert_allclose(partial_log_likelihood(scores, time, event), expected, atol=1e-10)
    np.testing.assert_allclose(partial_log_likelihood(scores + 7, time, event), expected, atol=1e-9)


def test_deviance_of_the_saturated_model_is_zero() -> None:
    """Two events at one time, then one: -2 log 2 is the best that any risks can reach."""
    time, event = np.array([1.0, 1.0, 2.0, 3.0]), np.array([True, True, True, False])
    best = np.array([[60.0], [60.0], [30.0], [0.0]])
    assert deviance(best, time, event)[0] == pytest.approx(0, abs=1e-9)
    assert deviance(np.zeros((4, 1)), time, event)[0] == pytest.approx(2 * (-2 * math.log(2) + math.log(4 * 4 * 2)))


def test_printed_intervals_of_sequoia_do_not_give_the_printed_p() -> None:
    """METABRIC: printed 7.8e-07 and, adjusted, 7.6e-05; the printed intervals give a thousandth. Figure 4d agrees."""
    assert wald_p_of_interval(1.21, 1.08, 1.36) == pytest.approx(1.2e-3, rel=0.05)
    assert wald_p_of_interval(1.22, 1.08, 1.39) == pytest.approx(2.0e-3, rel=0.05)
    assert wald_p_of_interval(1.58, 1.16, 2.15) == pytest.approx(0.0036, rel=0.05)
    with pytest.raises(UserError, match="hazard ratio"):
        wald_p_of_interval(1.0, 1.2, 1.1)


def test_design_codes_text_and_drops_holes_and_constants() -> None:
    table = pd.DataFrame(
        {
            "age": [50, 60, 70, 40],
            "type": ["LumA", "Basal", "LumA", "Her2"],
            "site": ["x"] * 4,
            "er": [1.0, 0.0, None, 1],
        },
        index=list("pqrs"),
    )
    made, notes = design(table)
    assert list(made.index) == ["p", "q", "s"]
    assert list(made.columns) == ["age", "type=Her2", "type=LumA", "er"]  # one each: the first by name is the reference
    assert made["type=LumA"].tolist() == [1, 0, 0]
    assert notes == ("1 patients without all covariates left out", "covariate site left out: it is constant")
