"""Pearson and Bland-Altman by hand and against scipy; the patient bootstrap; what is undefined."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from protocols.errors import UserError
from protocols.metrics.agreement import agreement_by_patient, bland_altman, pearson
from protocols.seeds import generator

SHORT = settings(max_examples=30, deadline=None)
SEEDS = st.integers(0, 2**32 - 1)


def scores(seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = generator(seed, "scores")
    reference = rng.uniform(0, 300, n)
    return reference * 0.8 + rng.normal(20, 30, n), reference


@SHORT
@given(SEEDS, st.integers(4, 60))
def test_pearson_is_scipys(seed: int, n: int) -> None:
    measured, reference = scores(seed, n)
    wanted = stats.pearsonr(measured, reference)
    interval = wanted.confidence_interval(0.95)
    found = pearson(measured, reference)
    assert (found.r, found.low, found.high) == pytest.approx((wanted.statistic, interval.low, interval.high), abs=1e-9)
    turned = pearson(reference * -2 + 5, measured)
    assert turned.r == pytest.approx(-found.r)


def test_fisher_by_hand() -> None:
    """Of the paper's r = .91 (.89 to .93): such an interval needs about 300 patches."""
    rng = generator(0, "fisher")
    x = rng.normal(size=300)
    y = rng.normal(size=300)
    y -= x * (x @ y) / (x @ x)
    x, y = (v - v.mean() for v in (x, y))
    y -= x * (x @ y) / (x @ x)
    made = 0.91 * x / np.linalg.norm(x) + np.sqrt(1 - 0.91**2) * y / np.linalg.norm(y)
    found = pearson(made, x)
    assert found.r == pytest.approx(0.91)
    assert (found.low, found.high) == pytest.approx((0.888, 0.928), abs=0.001)


@pytest.mark.parametrize(
    ("measured", "reference", "r", "interval", "says"),
    [
        ([], [], None, False, "0 pairs"),
        ([1, 2], [1, 2], None, False, "2 pairs"),
        ([1, 2, 4], [1, 2, 3], 0.98198, False, "four pairs"),
        ([1, 2, 4, 5], [7, 7, 7, 7], None, False, "reference is constant"),
        ([0.1 + 0.2, 0.3, 0.3, 0.3], [1, 2, 3, 4], 0.0, False, "counts as 0"),
        ([1, 2, 3, 4], [10, 20, 30, 40], 1.0, True, ""),
    ],
)
def test_what_is_undefined(measured: list[float], reference: list[float], r: float | None, interval: bool, says: str):
    found = pearson(measured, reference)
    assert found.r == (None if r is None else pytest.approx(r, abs=1e-5))
    assert (found.low is not None) is interval
    assert (says in found.reason) if says else not found.reason


def test_bland_altman_by_hand() -> None:
    found = bland_altman([11.0, 22.0, 33.0, 44.0, 55.0], [10.0, 20.0, 30.0, 40.0, 50.0])  # differences 1 to 5
    sd = np.sqrt(2.5)
    assert (found.n, found.sd, found.bias.value) == (5, pytest.approx(sd), 3.0)
    assert (found.lower.value, found.upper.value) == pytest.approx((3 - 1.959964 * sd, 3 + 1.959964 * sd))
    t = 2.776445
    assert (found.bias.low, found.bias.high) == pytest.approx((3 - t * sd / 5**0.5, 3 + t * sd / 5**0.5), abs=1e-5)
    half = t * sd * np.sqrt(1 / 5 + 1.959964**2 / 8)
    assert (found.upper.low, found.upper.high) == pytest.approx(
        (found.upper.value - half, found.upper.value + half), abs=1e-5
    )


def test_bland_altman_of_few() -> None:
    none, one = bland_altman([], []), bland_altman([5.0], [3.0])
    assert none.bias.value is None
    assert (one.bias.value, one.bias.low, one.sd, one.upper.value) == (2.0, None, None, None)
    alike = bland_altman([1.0, 2.0], [1.0, 2.0])
    assert (alike.bias.low, alike.upper.high) == (0.0, 0.0)


@SHORT
@given(SEEDS)
def test_interval_of_the_bias_is_the_t_tests(seed: int) -> None:
    measured, reference = scores(seed, 12)
    wanted = stats.ttest_rel(measured, reference).confidence_interval(0.95)
    found = bland_altman(measured, reference)
    assert (found.bias.low, found.bias.high) == pytest.approx((wanted.low, wanted.high))
    back = bland_altman(reference, measured)
    assert (back.bias.value, back.lower.value) == pytest.approx((-found.bias.value, -found.upper.value))


def test_r_hides_what_bland_altman_shows() -> None:
    reference = np.linspace(0, 100, 50)
    assert pearson(2 * reference + 50, reference).r == pytest.approx(1)
    assert bland_altman(2 * reference + 50, reference).bias.value == pytest.approx(100)


def test_patient_bootstrap_is_the_plain_loop() -> None:
    measured, reference = scores(1, 30)
    patients = np.array([f"p{i % 7}" for i in range(30)])
    found = agreement_by_patient(measured, reference, patients, seed=3, resamples=100)
    names = np.unique(patients)
    drawn = generator(3, "patient agreement", 7).integers(7, size=(100, 7))
    rows = [np.concatenate([np.flatnonzero(patients == names[i]) for i in row]) for row in drawn]
    r = [np.corrcoef(measured[i], reference[i])[0, 1] for i in rows]
    limits = [bland_altman(measured[i], reference[i]) for i in rows]
    assert (found.r.low, found.r.high) == pytest.approx(tuple(np.percentile(r, (2.5, 97.5))))
    assert (found.bias.low, found.bias.high) == pytest.approx(
        tuple(np.percentile([limit.bias.value for limit in limits], (2.5, 97.5)))
    )
    assert (found.upper.low, found.upper.high) == pytest.approx(
        tuple(np.percentile([limit.upper.value for limit in limits], (2.5, 97.5)))
    )
    assert found.r.value == pytest.approx(pearson(measured, reference).r)
    assert (found.n, found.patients, found.undefined_resamples) == (30, 7, 0)
    assert found == agreement_by_patient(measured, reference, patients, seed=3, resamples=100)


def test_patches_of_one_patient_are_no_evidence_of_their_own() -> None:
    """Ten patients of 30 patches that differ between patients alone: Fisher's interval is far too narrow."""
    rng = generator(5, "patients")
    truth, error = rng.uniform(0, 300, 10), rng.normal(0, 90, 10)
    patients = np.repeat(np.arange(10), 30).astype(str)
    reference = np.repeat(truth, 30) + rng.normal(0, 3, 300)
    measured = np.repeat(truth + error, 30) + rng.normal(0, 3, 300)
    naive, clustered = pearson(measured, reference), agreement_by_patient(measured, reference, patients, seed=0)
    assert clustered.r.high - clustered.r.low > 2 * (naive.high - naive.low)


def test_resamples_without_an_r_are_counted() -> None:
    reference, measured = [0.0, 0.0, 0.0, 100.0, 200.0, 300.0], [10.0, 20.0, 0.0, 100.0, 210.0, 290.0]
    found = agreement_by_patient(measured, reference, list("aaabbb"), seed=0, resamples=200)
    assert 30 < found.undefined_resamples < 70  # patient a alone, a quarter of the draws
    assert found.r.low is not None
    alone = agreement_by_patient(measured, reference, ["a"] * 6, seed=0)
    assert alone.r.value is not None
    assert (alone.r.low, alone.bias.low, alone.patients) == (None, None, 1)
    constant = agreement_by_patient([1.0, 2.0, 3.0], [5.0] * 3, list("abc"), seed=0, resamples=50)
    assert (constant.r.value, constant.undefined_resamples) == (None, 50)
    assert constant.bias.low is not None


def test_wrong_input_gets_one_line() -> None:
    with pytest.raises(UserError, match="one length"):
        pearson([1, 2], [1, 2, 3])
    with pytest.raises(UserError, match="NaN"):
        bland_altman([1, np.nan], [1, 2])
    with pytest.raises(UserError, match="one patient a pair"):
        agreement_by_patient([1, 2], [1, 2], ["a"], seed=0)
