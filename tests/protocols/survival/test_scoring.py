"""From folds to a survival record: headline, interval, pairing, average, and what is refused."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import UserError
from protocols.metrics.concordance import harrell, uno
from protocols.survival.score import CURVE_POINTS, ScoredFold, SurvivalScores, average_scores, score_folds

SUMMARY = {
    "harrell_mean", "harrell_sd", "harrell_pooled", "uno_mean", "uno_sd", "uno_pooled", "brier_integrated",
    "auc_mean", "logrank_p", "past_printed_c1", "past_printed_c2",
}  # fmt: skip


def fold(name: str, n: int = 40, seed: int = 0, shift: float = 0.0, **changed: Any) -> ScoredFold:
    """Patients whose hazard is exp(risk); ``shift`` gives the fold's model a scale of its own."""
    rng = np.random.default_rng([seed, sum(map(ord, name))])
    risk = rng.normal(size=2 * n)
    death, end = rng.exponential(20 * np.exp(-risk)) + 0.1, rng.uniform(5, 80, 2 * n)
    time, event = np.minimum(death, end), death <= end
    patient = np.array([f"{name}-{i}" for i in range(n)])
    made = ScoredFold(name, patient, time[:n], event[:n], risk[:n] + shift, time[n:], event[n:])
    return dataclasses.replace(made, **changed)


def with_curves(of: ScoredFold) -> ScoredFold:
    times = np.linspace(1, 60, 30)
    return dataclasses.replace(of, times=times, survival=np.exp(-np.exp(of.risk)[:, None] * times / 20))


@pytest.fixture(scope="module")
def folds() -> list[ScoredFold]:
    return [with_curves(fold(name)) for name in "abc"]


@pytest.fixture(scope="module")
def scores(folds: list[ScoredFold]) -> SurvivalScores:
    return score_folds(folds)


def test_summary_is_of_the_folds(folds: list[ScoredFold], scores: SurvivalScores) -> None:
    assert set(scores.summary) == SUMMARY
    each = [harrell(f.time, f.event, f.risk).value for f in folds]
    assert scores.headline.mean == scores.summary["harrell_mean"] == pytest.approx(np.mean(each), abs=1e-12)
    assert scores.summary["harrell_sd"] == pytest.approx(np.std(each), abs=1e-12)  # population SD, as published
    weighted = [uno(f.train_time, f.train_event, f.time, f.event, f.risk)[0] for f in folds]
    assert scores.summary["uno_mean"] == pytest.approx(np.mean(weighted), abs=1e-12)
    assert scores.summary["past_printed_c1"] == pytest.approx(1 - np.mean(each), abs=1e-12)
    assert scores.headline.n_patients == scores.counts["patients"] == 120
    assert scores.headline.low < scores.headline.mean < scores.headline.high
    assert 0 < scores.summary["brier_integrated"] < 0.25 < scores.summary["auc_mean"]
    assert scores.summary["logrank_p"] < 1e-3


def test_record_is_json_without_nan_and_has_what_reports_read(scores: SurvivalScores) -> None:
    assert scores.values is not None
    parts = (scores.survival, scores.summary, scores.counts, scores.values.to_dict())
    assert json.loads(json.dumps(parts, allow_nan=False))
    assert scores.values.sizes() == {"a": 40, "b": 40, "c": 40}
    assert scores.values.mean == pytest.approx(scores.headline.mean)
    rows = scores.survival["folds"]
    assert [row["fold"] for row in rows] == ["a", "b", "c"]
    assert {"fold", "n", "events", "harrell", "uno", "tau", "brier", "auc"} <= set(rows[0])
    curves, table = scores.survival["curves"], scores.survival["at_risk"]
    assert [curve["group"] for curve in curves] == ["low", "high"]
    assert [table["low"][0], table["high"][0]] == [curve["n"] for curve in curves] == [60, 60]
    assert sum(curve["events"] for curve in curves) == scores.counts["events"]
    assert list(scores.units.columns) == ["fold", "patient", "time", "event", "risk"]
    assert len(scores.units) == 120
    assert scores.survival["tau"] > 0


def test_the_scale_of_a_folds_model_enters_only_what_is_pooled(folds: list[ScoredFold]) -> None:
    shifted = [dataclasses.replace(f, risk=10 * f.risk + 100 * place) for place, f in enumerate(folds)]
    plain, moved = score_folds(folds), score_folds(shifted)
    pooled = {"harrell_pooled", "uno_pooled"}
    for key in SUMMARY - pooled:
        assert moved.summary[key] == pytest.approx(plain.summary[key], abs=1e-12), key
    for key in pooled:
        assert moved.summary[key] < plain.summary[key] - 0.05
    assert moved.survival["logrank_p_pooled"] > plain.survival["logrank_p_pooled"]
    np.testing.assert_allclose(value(moved), value(plain), atol=1e-12)


def test_models_are_paired_by_patient(folds: list[ScoredFold], scores: SurvivalScores) -> None:
    noise = np.random.default_rng(0)
    worse = [dataclasses.replace(f, risk=f.risk + noise.normal(size=len(f.risk)) * 0.2) for f in folds]
    other = score_folds(worse)
    assert (value(scores) - value(other)).std() < 0.6 * np.hypot(value(scores).std(), value(other).std())


def value(scores: SurvivalScores) -> np.ndarray:
    assert scores.values is not None
    return scores.values.value


@given(st.integers(0, 1000))
def test_the_order_of_patients_does_not_matter(seed: int) -> None:
    one = fold("a")
    mixed = np.random.default_rng(seed).permutation(len(one.risk))
    names = ("patient", "time", "event", "risk")
    other = dataclasses.replace(one, **{name: getattr(one, name)[mixed] for name in names})
    first, second = (score_folds([f]).summary for f in (one, other))
    assert first == {key: None if value is None else pytest.approx(value, abs=1e-9) for key, value in second.items()}


def test_constant_risk_is_one_half_and_counted() -> None:
    constant = [fold("a", risk=np.full(40, 7.0)), fold("b", risk=np.full(40, -3.0)), fold("c")]
    found = score_folds(constant)
    assert [row["harrell"] for row in found.survival["folds"]][:2] == [0.5, 0.5]
    assert found.counts["constant_risk_folds"] == 2
    every = score_folds(constant[:2])
    assert (every.headline.mean, every.headline.low, every.headline.high) == pytest.approx((0.5, 0.5, 0.5))
    assert every.summary["logrank_p"] is None
    assert every.survival["curves"] == []


def test_folds_without_a_comparable_pair_are_left_out_and_counted() -> None:
    empty = fold("b", event=np.zeros(40, bool))
    with_it, without = (score_folds(part) for part in ([fold("a"), empty], [fold("a")]))
    assert with_it.headline.mean == without.headline.mean
    np.testing.assert_array_equal(value(with_it), value(without))
    assert with_it.counts["undefined_folds"] == 1
    row = with_it.survival["folds"][1]
    assert row["harrell"] is row["uno"] is row["auc"] is None
    assert row["uno_undefined"] == "no event among the test patients"


def test_all_censored_is_no_score_and_no_crash() -> None:
    found = score_folds([with_curves(fold("a", event=np.zeros(40, bool)))])
    assert found.headline.mean is found.headline.low is None
    assert (found.values, found.headline.reason) == (None, "no comparable pair")
    assert all(value is None for value in found.summary.values())


@pytest.mark.parametrize(
    "changed",
    [
        {"event": np.arange(40) == 0},
        {"train_event": np.zeros(40, bool)},
        {"train_event": np.ones(40, bool)},
        {"train_time": np.full(40, 0.5)},
        {"time": np.full(40, 12.0)},
        {"time": np.arange(40) + 1e4},
        {"time": np.zeros(40)},
    ],
    ids=["one event", "training censored", "training uncensored", "short training", "one time", "late", "zero"],
)
def test_odd_follow_up_is_scored_or_none(changed: dict[str, Any]) -> None:
    found = score_folds([with_curves(fold("a", **changed))])
    json.dumps([found.summary, found.survival, dataclasses.asdict(found.headline)], allow_nan=False)


def test_long_curves_are_thinned_and_keep_their_ends() -> None:
    large = fold("a", n=3000)
    found = score_folds([large])
    for curve in found.survival["curves"]:
        assert len(curve["time"]) <= CURVE_POINTS
        assert (curve["time"][0], curve["survival"][0]) == (0.0, 1.0)
    assert max(curve["time"][-1] for curve in found.survival["curves"]) == large.time.max()


def test_average_is_of_cohorts(folds: list[ScoredFold], scores: SurvivalScores) -> None:
    other = score_folds([fold("x", seed=5), fold("y", seed=5)])
    both = average_scores({"one": scores, "two": other})
    assert both.headline.mean == pytest.approx((scores.headline.mean + other.headline.mean) / 2)
    assert both.values is not None
    assert both.values.mean == pytest.approx(both.headline.mean)
    assert (both.headline.high - both.headline.low) < (other.headline.high - other.headline.low)
    assert both.counts["patients"] == both.headline.n_patients == 200
    assert both.summary["uno_mean"] == pytest.approx((scores.summary["uno_mean"] + other.summary["uno_mean"]) / 2)
    assert both.summary["brier_integrated"] is None  # the second cohort has no curves
    assert both.summary["logrank_p"] is None
    assert both.survival == {"cohorts": {"one": scores.headline.mean, "two": other.headline.mean}}
    with pytest.raises(UserError, match="no cohort"):
        average_scores({})


TIMES, FALLING = np.array([1.0, 2.0]), np.tile([0.9, 0.5], (40, 1))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"risk": np.r_[np.zeros(39), np.inf]}, "risk of a-39 is not finite"),
        ({"risk": np.r_[np.zeros(39), -np.inf]}, "risk of a-39 is not finite"),
        ({"risk": np.zeros(39)}, "of shapes"),
        ({"risk": np.zeros((40, 1))}, "of shapes"),
        ({"patient": np.array(["a-1"] * 40)}, "a-1 is tested twice"),
        ({"time": np.r_[-1.0, np.ones(39)]}, "a time is negative"),
        ({"train_time": np.r_[np.nan, np.ones(39)]}, "a time is negative, NaN"),
        ({"train_time": np.ones(3)}, "3 training times, 40 events"),
        ({"times": TIMES}, "times alone"),
        ({"survival": FALLING}, "survival alone"),
        ({"times": TIMES, "survival": FALLING[:, ::-1]}, "not valid"),
        ({"times": TIMES, "survival": FALLING + 0.2}, "not valid"),
        ({"times": TIMES, "survival": FALLING - 0.6}, "not valid"),
        ({"times": TIMES[::-1], "survival": FALLING}, "not valid"),
        ({"times": TIMES, "survival": np.full((40, 2), np.nan)}, "not valid"),
        ({"times": TIMES, "survival": FALLING[:, :1]}, "not valid"),
        ({"times": TIMES[:0], "survival": FALLING[:, :0]}, "not valid"),
    ],
)
def test_what_cannot_be_scored_is_refused_in_one_line(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said) as refused:
        score_folds([fold("a", **changed)])
    assert "\n" not in str(refused.value)


def test_patients_and_names_of_two_folds_are_refused() -> None:
    with pytest.raises(UserError, match="two folds of one name"):
        score_folds([fold("a"), fold("a")])
    with pytest.raises(UserError, match="a-0 is tested twice, first in fold a"):
        score_folds([fold("a"), fold("b", patient=fold("a").patient)])
    with pytest.raises(UserError, match="no fold"):
        score_folds([])
