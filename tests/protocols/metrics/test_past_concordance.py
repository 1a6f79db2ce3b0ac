"""What the sign and the weight of PAST's printed formulas do."""

from __future__ import annotations

import numpy as np
import pytest

from protocols.metrics.concordance import harrell, uno
from protocols.metrics.past_concordance import printed_c1, printed_c2


def patients(n: int, seed: int, rate: float = 0.03) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Exponential times whose hazard is exp(risk), independently censored."""
    rng = np.random.default_rng(seed)
    risk = rng.normal(size=n)
    death, end = rng.exponential(10 * np.exp(-risk)), rng.exponential(1 / rate, n)
    return np.minimum(death, end), death <= end, risk


def test_the_sign_turns_the_order_of_models_round() -> None:
    time, event, risk = patients(400, 0)
    noisy = risk + np.random.default_rng(1).normal(size=400) * 3
    good, poor = harrell(time, event, risk).value, harrell(time, event, noisy).value
    assert good is not None
    assert poor is not None
    assert good > poor > 0.5
    assert printed_c1(time, event, risk) == pytest.approx(1 - good, abs=1e-12)
    assert printed_c1(time, event, noisy) == pytest.approx(1 - poor, abs=1e-12)  # so the poorer model scores higher


def test_c1_by_hand_with_a_tie() -> None:
    # Pairs (1; 2, 3), (2; 3). Risks 1, 2, 2: the later patient has the higher risk twice, once they are tied.
    time, event, risk = np.array([1.0, 2.0, 3.0]), np.array([True, True, False]), np.array([1.0, 2.0, 2.0])
    assert printed_c1(time, event, risk) == pytest.approx(2 / 3)
    assert harrell(time, event, risk).value == pytest.approx(0.5 / 3)  # not 1 - 2/3: the tie counts nothing there


def test_c2_by_hand() -> None:
    # Training censors one of four at 2, one of two at 4: G = 1, 3/4 from 2 on, 3/8 from 4 on.
    train_time, train_event = np.array([2.0, 3.0, 4.0, 6.0]), np.array([False, True, False, True])
    time, event = np.array([1.0, 3.0, 5.0, 7.0]), np.array([True, True, True, False])
    risk = np.array([4.0, 1.0, 3.0, 2.0])  # all three right; both wrong; the one right
    first, second, third = 1.0, 4 / 3, 8 / 3
    share = (3 * first + third) / (3 * first + 2 * second + third)
    assert printed_c2(train_time, train_event, time, event, risk) == pytest.approx(share, abs=1e-12)
    squared = (3 * first + third**2) / (3 * first + 2 * second**2 + third**2)
    assert uno(train_time, train_event, time, event, risk, tau=6.0)[0] == pytest.approx(squared, abs=1e-12)
    assert harrell(time, event, risk).value == pytest.approx(4 / 6)


def test_ties_count_nothing_so_a_constant_model_scores_zero() -> None:
    time, event, risk = patients(60, 2)
    constant = np.zeros(60)
    assert harrell(time, event, constant).value == 0.5
    assert printed_c1(time, event, constant) == printed_c2(time, event, time, event, constant) == 0.0
    assert printed_c2(time, event, time, event, risk) > 0.5  # type: ignore[operator]


def test_the_first_power_depends_on_the_censoring() -> None:
    """One population, censored more or less: the square removes what the first power leaves, up to ``tau``.

    The hazards cross at 5 months, so early and late pairs do not have one concordance, and it matters how they weigh.
    """
    rng = np.random.default_rng(3)
    n, tau = 6000, 12.0
    risk = rng.normal(size=n)
    early, late = rng.exponential(8 * np.exp(-1.5 * risk)), rng.exponential(8 * np.exp(1.5 * risk))
    death = np.where(early < 5, early, 5 + late)
    limits = [np.full(n, tau), np.minimum(rng.exponential(6, n), tau)]
    squared, printed, plain = [], [], []
    for end in limits:
        time, event = np.minimum(death, end), death <= end
        squared.append(uno(time, event, time, event, risk, tau=tau)[0])
        printed.append(printed_c2(time, event, time, event, risk))
        plain.append(harrell(time, event, risk).value)
    shift = [abs(b - a) for a, b in (squared, printed, plain)]  # type: ignore[operator]
    assert shift[0] < 0.02
    assert shift[0] < shift[1] < shift[2]


@pytest.mark.parametrize("events", [[False, False, False], [False, False, True]])
def test_undefined_without_a_comparable_pair(events: list[bool]) -> None:
    time, event, risk = np.array([1.0, 2.0, 3.0]), np.array(events), np.arange(3.0)
    assert printed_c1(time, event, risk) is None
    assert printed_c2(time, np.ones(3, bool), time, event, risk) is None


def test_events_beyond_training_follow_up_have_no_weight() -> None:
    train = np.array([1.0, 2.0]), np.array([True, True])
    time, event, risk = np.array([1.0, 5.0, 6.0]), np.array([True, True, False]), np.array([3.0, 1.0, 2.0])
    assert printed_c2(*train, time, event, risk) == 1.0
    assert printed_c2(*train, time[1:], event[1:], risk[1:]) is None
