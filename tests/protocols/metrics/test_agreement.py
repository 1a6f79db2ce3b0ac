"""Pearson and Bland-Altman by hand and against scipy; intervals over patients, what they cover; the undefined."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from protocols.errors import UserError
from protocols.metrics.agreement import LEAST_FOR_R, agreement_by_patient, bland_altman, pearson
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


def test_jackknife_is_the_plain_loop() -> None:
    measured, reference = scores(1, 30)
    patients = np.array([f"p{i % 7}" for i in range(27)] + ["p0"] * 3)
    found = agreement_by_patient(measured, reference, patients)
    kept = [patients != name for name in np.unique(patients)]
    z = np.arctanh([stats.pearsonr(measured[k], reference[k]).statistic for k in kept])
    bias = np.array([(measured[k] - reference[k]).mean() for k in kept])
    t = 2.446912  # of 6 degrees of freedom
    half_z, half = (t * np.sqrt(6 / 7 * ((values - values.mean()) ** 2).sum()) for values in (z, bias))
    at = np.arctanh(stats.pearsonr(measured, reference).statistic)
    assert (found.r.low, found.r.high) == pytest.approx((np.tanh(at - half_z), np.tanh(at + half_z)), abs=1e-6)
    mean = (measured - reference).mean()
    assert (found.bias.low, found.bias.high) == pytest.approx((mean - half, mean + half), rel=1e-6)
    assert (found.r.value, found.bias.value) == pytest.approx((np.tanh(at), mean))
    limits = bland_altman(measured, reference)
    assert (found.lower, found.upper) == (limits.lower.value, limits.upper.value)
    assert (found.n, found.patients, found.reason) == (30, 7, "")


def test_with_equally_many_patches_the_bias_is_a_t_test_of_patients() -> None:
    measured, reference = scores(2, 24)
    found = agreement_by_patient(measured, reference, np.repeat(list("abcdef"), 4))
    wanted = stats.ttest_1samp((measured - reference).reshape(6, 4).mean(axis=1), 0).confidence_interval(0.95)
    assert (found.bias.low, found.bias.high) == pytest.approx((wanted.low, wanted.high))


def test_patches_of_one_patient_are_no_evidence_of_their_own() -> None:
    """Ten patients of 30 patches that differ between patients alone: Fisher's interval is far too narrow."""
    rng = generator(5, "patients")
    truth, error = rng.uniform(0, 300, 10), rng.normal(0, 90, 10)
    patients = np.repeat(np.arange(10), 30).astype(str)
    reference = np.repeat(truth, 30) + rng.normal(0, 3, 300)
    measured = np.repeat(truth + error, 30) + rng.normal(0, 3, 300)
    naive, clustered = pearson(measured, reference), agreement_by_patient(measured, reference, patients)
    assert clustered.r.high - clustered.r.low > 2 * (naive.high - naive.low)


FIVE = [1.0, 2.0, 4.0, 7.0, 7.5], [2.0, 1.0, 5.0, 6.0, 9.0]


@pytest.mark.parametrize(
    ("measured", "reference", "patients", "says"),
    [
        ([], [], "", "0 pairs"),
        (*FIVE, "aaaaa", "1 patients; an interval of r needs 5"),
        (*FIVE, "aabcd", "4 patients; an interval of r needs 5"),
        (FIVE[0], [1.0] * 5, "abcde", "reference is constant"),
        ([1.0] * 5, FIVE[0], "abcde", "counts as 0"),
        (FIVE[0], [1.0, 1.0, 1.0, 1.0, 2.0], "abcde", "without one of the patients"),
        (FIVE[0], FIVE[0], "abcde", "on one line"),
        (*FIVE, "abcde", ""),
    ],
)
def test_where_r_has_no_interval_a_reason_stands(
    measured: list[float], reference: list[float], patients: str, says: str
) -> None:
    found = agreement_by_patient(measured, reference, list(patients))
    assert (says in found.reason) if says else not found.reason
    assert (found.r.low is None) == (found.r.high is None) == bool(says)
    assert (found.bias.low is None) == (len(set(patients)) < 2)


def coverage(
    patients: int, r: float, alike: float, patches: int, repetitions: int, within: float | None = None
) -> dict[str, float]:
    """Share of intervals over the truth. H-scores are a logistic curve of normal values; ``alike``: share of variance
    between patients; ``patches`` of each patient, 0: one to nine. ``within``: r within patients, if another."""
    rng = generator(patients, "coverage", r, alike, patches)
    between, inside = (np.array([[1, rho], [rho, 1]]) for rho in (r, r if within is None else within))

    def drawn(people: int) -> tuple[np.ndarray, np.ndarray]:
        """Both H-scores of every patient's nine patches ``(people, 9, 2)``, and which of them there are."""
        own = rng.multivariate_normal([0, 0], between, (people, 1))
        rest = rng.multivariate_normal([0, 0], inside, (people, 9))
        number = rng.integers(1, 10, people) if not patches else np.full(people, patches)
        values = np.sqrt(alike) * own + np.sqrt(1 - alike) * rest
        return 300 / (1 + np.exp(0.7 - 1.3 * values)), np.arange(9) < number[:, None]

    score, _ = drawn(150_000)
    true_r = np.corrcoef(score.reshape(-1, 2).T)[0, 1]  # true bias: 0
    hits = {"r": 0, "bias": 0}
    for _ in range(repetitions):
        score, there = drawn(patients)
        of = np.broadcast_to(np.arange(patients)[:, None], there.shape)[there]
        found = agreement_by_patient(*score[there].T, of)
        hits["bias"] += (found.bias.low or 0) <= 0 <= (found.bias.high or 0)
        if found.r.low is not None and found.r.high is not None:
            hits["r"] += found.r.low <= true_r <= found.r.high
    return {key: hit / repetitions for key, hit in hits.items() if key == "bias" or patients >= LEAST_FOR_R}


@pytest.mark.parametrize(("patients", "r", "alike", "patches"), [(3, 0.6, 0.5, 5), (5, 0.9, 0.8, 0), (12, 0.3, 0.5, 4)])
def test_intervals_cover(patients: int, r: float, alike: float, patches: int) -> None:
    found = coverage(patients, r, alike, patches, 1000)
    assert all(0.93 - 2 * 0.0081 <= share <= 0.97 + 2 * 0.0054 for share in found.values()), found


@pytest.mark.simulation
@pytest.mark.parametrize("patches", [5, 0])
@pytest.mark.parametrize("alike", [0.2, 0.5, 0.8])
@pytest.mark.parametrize(("r", "within"), [(0.3, None), (0.6, None), (0.9, None), (0.9, 0.3)])
@pytest.mark.parametrize("patients", [2, 3, 5, 8, 12, 30, 150])
def test_every_printed_interval_covers(
    patients: int, r: float, within: float | None, alike: float, patches: int
) -> None:
    """2,000 repetitions each, bounds of .93 to .97 within two Monte Carlo errors."""
    found = coverage(patients, r, alike, patches, 2000, within)
    print(f"{patients} patients, r {r} ({within}), alike {alike}, {patches or 'one to nine'} patches: {found}")
    assert all(0.93 - 2 * 0.0057 <= share <= 0.97 + 2 * 0.0038 for share in found.values()), found


def test_wrong_input_gets_one_line() -> None:
    with pytest.raises(UserError, match="one length"):
        pearson([1, 2], [1, 2, 3])
    with pytest.raises(UserError, match="NaN"):
        bland_altman([1, np.nan], [1, 2])
    with pytest.raises(UserError, match="one patient a pair"):
        agreement_by_patient([1, 2], [1, 2], ["a"])
