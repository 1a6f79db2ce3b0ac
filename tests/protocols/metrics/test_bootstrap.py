"""Intervals over patients and ranks with ties."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from protocols.metrics.bootstrap import (
    minimum_detectable_difference,
    paired_difference,
    patient_bootstrap,
    ranks_with_ties,
)
from protocols.records import Interval


def scores(mean: float, spread: float, patients: int = 12, seed: int = 0) -> dict[str, float]:
    values = mean + spread * np.random.default_rng(seed).normal(size=patients)
    return {f"p{i}": float(value) for i, value in enumerate(values)}


def test_agrees_with_scipy_and_with_theory() -> None:
    values = scores(0.4, 0.1, patients=200)
    mine = patient_bootstrap(values, seed=1, resamples=5000)
    array = np.array(list(values.values()))
    theirs = stats.bootstrap((array,), np.mean, n_resamples=5000, method="percentile", rng=0).confidence_interval
    assert mine.mean == pytest.approx(array.mean())
    assert (mine.low, mine.high) == pytest.approx((theirs.low, theirs.high), abs=0.1 * (theirs.high - theirs.low))
    half = 1.96 * array.std() / np.sqrt(200)
    assert mine.high - mine.low == pytest.approx(2 * half, rel=0.1)


def test_covers_the_true_mean_about_as_often_as_it_says() -> None:
    hits = 0
    for seed in range(200):
        interval = patient_bootstrap(scores(0.3, 0.1, patients=30, seed=seed), seed=0, resamples=400)
        hits += interval.low <= 0.3 <= interval.high
    assert 0.88 <= hits / 200 <= 0.98


def test_same_seed_same_interval_whatever_the_order_of_patients() -> None:
    values = scores(0.4, 0.1)
    turned = dict(reversed(values.items()))
    assert patient_bootstrap(values, 3) == patient_bootstrap(turned, 3)
    assert patient_bootstrap(values, 3) != patient_bootstrap(values, 4)


def test_few_patients() -> None:
    assert patient_bootstrap({}, 0) == Interval(None, None, None, 0)
    assert patient_bootstrap({"p": 0.25}, 0) == Interval(0.25, None, None, 1)
    two = patient_bootstrap({"p": 0.0, "q": 1.0}, 0)
    assert (two.low, two.mean, two.high) == (0.0, 0.5, 1.0)


def test_pairing_removes_what_patients_share() -> None:
    base = scores(0.4, 0.2)
    better = {p: v + 0.02 + 0.001 * i for i, (p, v) in enumerate(base.items())} | {"only here": 9.0}
    difference = paired_difference(better, base, seed=0)
    assert difference.n_patients == 12
    assert difference.low > 0
    alone = patient_bootstrap(base, 0)
    assert alone.low < patient_bootstrap({p: better[p] for p in base}, 0).mean < alone.high  # unpaired: no difference
    assert paired_difference(base, {}, seed=0) == Interval(None, None, None, 0)


def test_indistinguishable_models_share_a_rank() -> None:
    base = scores(0.5, 0.1)
    noise = np.random.default_rng(1).normal(0, 0.05, 12)
    models = {
        "a": base,
        "b": {p: v + e - noise.mean() for (p, v), e in zip(base.items(), noise, strict=True)},
        "worse": {p: v - 0.3 for p, v in base.items()},
        "worst": {p: v - 0.6 for p, v in base.items()},
        "unscored": {},
    }
    ranked = ranks_with_ties(models, seed=0)
    assert [(row.model, row.rank) for row in ranked if row.rank > 1] == [("worse", 3), ("worst", 4)]
    assert {row.model for row in ranked if row.rank == 1} == {"a", "b"}
    assert next(row for row in ranked if row.model == "a")[2:] == pytest.approx(
        tuple(patient_bootstrap(base, 0).__dict__.values())[:3]
    )
    assert ranked == ranks_with_ties(dict(reversed(models.items())), seed=0)


def test_ranks_agree_with_every_pair_taken_alone() -> None:
    models = {f"m{i}": scores(0.3 + 0.02 * i, 0.05, seed=i) for i in range(8)}
    del models["m3"]["p4"]  # one model lacks a patient: its pairs use the others
    ranks = {row.model: row.rank for row in ranks_with_ties(models, seed=5)}
    for name, values in models.items():
        better = sum(paired_difference(other, values, 5).low > 0 for key, other in models.items() if key != name)
        assert ranks[name] == 1 + better


def test_one_patient_ranks_nobody() -> None:
    assert [row.rank for row in ranks_with_ties({"a": {"p": 0.9}, "b": {"p": 0.1}}, 0)] == [1, 1]


def test_minimum_detectable_difference() -> None:
    a, b = scores(0.5, 0.1, 10, seed=1), scores(0.5, 0.1, 10, seed=2)
    differences = np.array([a[p] - b[p] for p in a])
    expected = (stats.t.ppf(0.975, 9) + stats.t.ppf(0.8, 9)) * differences.std(ddof=1) / np.sqrt(10)
    assert minimum_detectable_difference(a, b) == pytest.approx(expected)
    assert minimum_detectable_difference(a, b, power=0.95) > expected
    assert minimum_detectable_difference({"p": 1.0}, {"p": 2.0}) is None
