"""Concordance against hand-computed cases, scikit-survival, and a loop over all pairs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sksurv.metrics import concordance_index_censored, concordance_index_ipcw

from protocols.metrics.concordance import (
    harrell,
    outcome,
    pair_counts,
    uno,
    weighted_concordance,
)
from protocols.metrics.past_concordance import printed_c1, printed_c2

Cohort = tuple[np.ndarray, np.ndarray, np.ndarray]


def cohort(n: int, seed: int, ties: bool = True) -> Cohort:
    rng = np.random.default_rng(seed)
    time = rng.integers(1, max(3, n // 2), n).astype(float) if ties else rng.exponential(10, n) + 0.01
    risk = rng.integers(0, max(2, n // 3), n).astype(float) if ties else rng.normal(size=n)
    return time, rng.random(n) < 0.6, risk


def by_loop(time: np.ndarray, event: np.ndarray, risk: np.ndarray) -> tuple[int, float]:
    """Comparable pairs and concordant plus half the tied ones, pair by pair."""
    comparable, score = 0, 0.0
    for i in np.flatnonzero(event):
        for j in range(len(time)):
            if time[i] < time[j] or (time[i] == time[j] and not event[j]):
                comparable += 1
                gap = risk[i] - risk[j]
                score += 0.5 if abs(gap) <= 1e-8 else float(gap > 0)
    return comparable, score


def test_hand_computed() -> None:
    # Events at 1 and 3, censored at 2 and 4. Pairs: (1; 2, 3, 4) and (3; 4).
    time, event = np.array([1.0, 2.0, 3.0, 4.0]), np.array([True, False, True, False])
    found = harrell(time, event, np.array([5.0, 6.0, 1.0, 1.0]))
    assert (found.comparable, found.concordant, found.discordant, found.tied) == (4, 2, 1, 1)
    assert found.value == 2.5 / 4


def test_tied_times() -> None:
    # Two events at 2 are not comparable with each other; both are with the patient censored at 2.
    time, event = np.array([2.0, 2.0, 2.0]), np.array([True, True, False])
    found = harrell(time, event, np.array([3.0, 1.0, 2.0]))
    assert (found.comparable, found.concordant, found.discordant) == (2, 1, 1)


@pytest.mark.parametrize(
    "event", [np.zeros(4, bool), np.array([False, False, False, True])], ids=["no event", "the last alone"]
)
def test_without_a_comparable_pair_it_is_undefined(event: np.ndarray) -> None:
    assert harrell(np.arange(1.0, 5.0), event, np.arange(4.0)).value is None


def test_constant_risk_is_one_half() -> None:
    time, event, _ = cohort(40, 0)
    assert harrell(time, event, np.full(40, 3.0)).value == 0.5


def test_the_tolerance_ties_close_risks() -> None:
    time, event = np.array([1.0, 2.0]), np.array([True, False])
    assert harrell(time, event, np.array([0.0, 5e-9]), tied_tol=1e-8).value == 0.5
    assert harrell(time, event, np.array([0.0, 5e-8]), tied_tol=1e-8).value == 0.0


@given(st.integers(2, 40), st.integers(0, 10_000), st.booleans())
def test_equals_the_loop_and_scikit_survival(n: int, seed: int, ties: bool) -> None:
    time, event, risk = cohort(n, seed, ties)
    comparable, score = by_loop(time, event, risk)
    found = harrell(time, event, risk)
    assert found.comparable == comparable
    if comparable:
        assert found.value == pytest.approx(score / comparable, abs=1e-12)
        assert found.value == pytest.approx(concordance_index_censored(event, time, risk)[0], abs=1e-12)


@given(st.integers(3, 40), st.integers(0, 10_000))
def test_depends_on_the_order_of_risks_alone(n: int, seed: int) -> None:
    time, event, risk = cohort(n, seed)
    value = harrell(time, event, risk).value
    assert harrell(time, event, 3 * risk + 7).value == value
    mixed = np.random.default_rng(seed).permutation(n)
    assert harrell(time[mixed], event[mixed], risk[mixed]).value == value
    if value is not None:
        assert harrell(time, event, -risk).value == pytest.approx(1 - value, abs=1e-12)


def test_agrees_with_lifelines_where_its_rules_are_the_same() -> None:
    lifelines = pytest.importorskip("lifelines.utils")
    time, event, risk = cohort(200, 3, ties=False)
    assert harrell(time, event, risk).value == pytest.approx(lifelines.concordance_index(time, -risk, event), abs=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_uno_is_scikit_survivals(seed: int) -> None:
    time, event, risk = cohort(120, seed, ties=False)
    train_time, train_event, _ = cohort(150, seed + 50, ties=False)
    value, tau = uno(train_time, train_event, time, event, risk)
    assert tau == np.quantile(train_time, 0.9)
    expected = concordance_index_ipcw(outcome(train_event, train_time), outcome(event, time), risk, tau=tau)[0]
    assert value == pytest.approx(expected, abs=1e-12)


def test_uno_ignores_events_beyond_training_follow_up() -> None:
    train_time, train_event = np.array([1.0, 2.0, 3.0, 4.0]), np.array([True, False, True, True])
    time, event, risk = np.array([1.0, 9.0, 10.0]), np.array([True, True, False]), np.array([3.0, 1.0, 2.0])
    # The discordant event at 9 has no weight, and alone leaves nothing to weigh.
    assert uno(train_time, train_event, time, event, risk, tau=4.0)[0] == 1.0
    assert uno(train_time, train_event, time[1:], event[1:], risk[1:], tau=4.0)[0] is None


def test_equal_weights_are_harrell() -> None:
    time, event, risk = cohort(60, 8)
    counts = pair_counts(time, event, risk)
    assert weighted_concordance(counts, np.full(len(counts.row), 0.3)) == pytest.approx(
        harrell(time, event, risk).value
    )


def test_past_printed_c1_rewards_the_wrong_order() -> None:
    time, event = np.array([1.0, 2.0, 3.0]), np.array([True, True, True])
    perfect = np.array([3.0, 2.0, 1.0])
    assert harrell(time, event, perfect).value == 1.0
    assert printed_c1(time, event, perfect) == 0.0
    assert printed_c1(time, event, -perfect) == 1.0
    assert printed_c1(time, event, np.zeros(3)) == 0.0  # ties count nothing, so a constant is at the bottom, not at 1/2


def test_past_printed_c2_weighs_by_the_first_power() -> None:
    # Training: G falls to 1/2 at 1.5 (one of two at risk is censored there).
    train_time, train_event = np.array([1.0, 1.5, 5.0]), np.array([True, False, True])
    time, event = np.array([1.0, 2.0, 3.0]), np.array([True, True, False])
    risk = np.array([1.0, 3.0, 2.0])  # wrong about the event at 1 (two pairs), right about the event at 2 (one)
    assert printed_c2(train_time, train_event, time, event, risk) == pytest.approx(2 / (2 * 1 + 2))
    assert uno(train_time, train_event, time, event, risk, tau=5.0)[0] == pytest.approx(4 / (2 * 1 + 4))


def test_a_late_event_decides_unos_c_only_up_to_the_end_of_follow_up() -> None:
    """Twenty patients ordered rightly, and one event at the very end, with a great 1/G², ordered wrongly."""
    time = np.arange(1.0, 23.0)
    event = np.array([True, False] * 10 + [True, False])
    risk = -time
    risk[-2] = -100.0  # lower than that of the patient who outlives them
    early, tau = uno(time, event, time, event, risk)
    end, _ = uno(time, event, time, event, risk, tau=float(time.max()))
    assert (early, tau) == (1.0, pytest.approx(19.9))
    assert end is not None
    assert 1 - end > 3 / 110  # one pair of about 110; its weight is many times the others'
