"""A column against an outcome: scikit-survival's Cox model, scikit-learn's AUC, DeLong by hand; the null; reasons."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import mannwhitneyu
from sklearn.metrics import roc_auc_score
from sksurv.linear_model import CoxPHSurvivalAnalysis
from sksurv.util import Surv
from statsmodels.stats.multitest import multipletests

from protocols.metrics.column_association import auc_with_interval, with_follow_up, with_response


def patients(seed: int, n: int = 120, effect: float = 0.8) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(rng.normal(size=(n, 3)), columns=["real", "null", "other"])
    time = rng.exponential(20 * np.exp(-effect * table["real"].to_numpy()))
    censored = rng.exponential(40, n)
    return table, np.minimum(time, censored), time <= censored


def test_cox_equals_scikit_survival_per_sd() -> None:
    table, time, event = patients(0)
    found = with_follow_up(table * 7 + 3, time, event)  # units do not matter
    for one in found:
        scaled = (table[[one.column]] - table[one.column].mean()) / table[one.column].std(ddof=0)
        model = CoxPHSurvivalAnalysis(ties="efron").fit(scaled, Surv.from_arrays(event, time))
        assert one.estimate == pytest.approx(math.exp(model.coef_[0]), rel=1e-6)
        assert one.low < one.estimate < one.high
    assert [one.q for one in found] == pytest.approx(multipletests([one.p for one in found], method="fdr_bh")[1])
    assert found[0].q < 0.001
    assert (found[0].n, found[0].events) == (120, int(event.sum()))


def test_auc_equals_scikit_learn_and_mann_whitney() -> None:
    rng = np.random.default_rng(1)
    response = rng.random(90) < 0.4
    table = pd.DataFrame({"a": rng.normal(size=90) + response, "b": rng.integers(0, 4, 90)})
    for one in with_response(table, response):
        values = table[one.column].to_numpy(float)
        assert one.estimate == pytest.approx(roc_auc_score(response, values), abs=1e-12)
        assert one.p == mannwhitneyu(values[response], values[~response], alternative="two-sided").pvalue
        assert one.low < one.estimate < one.high


def test_delongs_variance_by_hand() -> None:
    # responders 1, 3, 4; others 0, 2: shares above .5, 1, 1 and shares 1, 2/3; AUC 5/6
    auc, low, high = auc_with_interval(np.array([1.0, 3, 4, 0, 2]), np.array([1, 1, 1, 0, 0], bool))
    error = math.sqrt(np.var([0.5, 1, 1], ddof=1) / 3 + np.var([1, 2 / 3], ddof=1) / 2)
    wide = 1.959963984540054 * error / (5 / 6 * 1 / 6)
    assert auc == pytest.approx(5 / 6)
    assert math.log(high / (1 - high)) - math.log(low / (1 - low)) == pytest.approx(2 * wide)
    assert auc_with_interval(np.arange(8.0), np.arange(8) > 3) == (1.0, 0.25, 1.0)


def test_the_interval_of_an_auc_covers() -> None:
    """True AUC .714 (means a distance of .8 apart) with 15 responders among 45."""
    rng = np.random.default_rng(2)
    response = np.arange(45) < 15
    inside = 0
    for _ in range(800):
        _, low, high = auc_with_interval(rng.normal(size=45) + 0.8 * response, response)
        inside += low <= 0.7141962 <= high
    assert 0.93 <= inside / 800 <= 0.98


def test_columns_without_effect_are_called_as_rarely_as_promised() -> None:
    p = []
    for seed in range(150):
        table, time, event = patients(seed, n=60, effect=0.0)
        p += [[one.p for one in with_follow_up(table, time, event)]]
    assert (np.array(p) <= 0.05).mean() < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 450)


def test_what_has_no_estimate_says_why() -> None:
    table, time, event = patients(3)
    table["flat"], table["rare"] = 1.0, np.where(np.arange(120) < 4, 1.0, np.nan)
    found = {one.column: one for one in with_follow_up(table, time, event)}
    assert found["flat"].reason == "constant"
    assert found["rare"].reason == "4 patients have it, fewer than 10"
    assert found["rare"].q == 1
    few = with_response(table[["real"]], np.arange(120) == 5)
    assert few[0].reason == "1 of 120 respond: fewer than two on one side"
