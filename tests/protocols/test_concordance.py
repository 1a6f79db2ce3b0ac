"""Concordance at its edges: ties, tolerances to the last digit, other packages' rules, large folds, wrong input."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sksurv.metrics import concordance_index_censored, concordance_index_ipcw

from protocols.errors import UserError
from protocols.metrics.concordance import (
    TIED,
    FoldOutcome,
    harrell,
    outcome,
    pairs_of_each,
    truncation_time,
    uno,
    why_uno_is_undefined,
)
from protocols.metrics.concordance_influence import fold_concordance
from protocols.metrics.survival_curves import mean_auc

Cohort = tuple[np.ndarray, np.ndarray, np.ndarray]


def cohort(n: int, seed: int, ties: bool) -> Cohort:
    """Follow-up and risk; a better risk goes with an earlier event."""
    rng = np.random.default_rng(seed)
    risk = rng.normal(size=n)
    time = rng.exponential(20 * np.exp(-0.7 * risk)) + 0.01
    if ties:
        time, risk = np.ceil(time / 4), risk.round(1)
    return time, rng.random(n) < 0.5, risk


def pair_rules(time: np.ndarray, event: np.ndarray, risk: np.ndarray) -> tuple[float, float]:
    """lifelines' pair rules, written out: correct plus half of tied, and pairs. Risks are tied where equal."""
    correct = pairs = 0.0
    for a in range(len(time)):
        for b in range(a + 1, len(time)):
            if time[a] == time[b]:
                comparable = event[a] != event[b]
                first, second = (a, b) if event[a] else (b, a)
            else:
                first, second = (a, b) if time[a] < time[b] else (b, a)
                comparable = bool(event[first])
            if comparable:
                pairs += 1
                correct += 0.5 if risk[first] == risk[second] else float(risk[first] > risk[second])
    return correct, pairs


@given(st.integers(2, 60), st.integers(0, 10_000), st.booleans())
def test_all_five_numbers_are_scikit_survivals(n: int, seed: int, ties: bool) -> None:
    time, event, risk = cohort(n, seed, ties)
    found = harrell(time, event, risk)
    if found.value is None:
        assert (found.concordant, found.discordant, found.tied_risk) == (0, 0, 0)
        return
    value, *counts = concordance_index_censored(event, time, risk)
    assert found.value == pytest.approx(value, abs=1e-12)
    assert [found.concordant, found.discordant, found.tied_risk, found.tied_time] == counts


@given(st.integers(2, 25), st.integers(0, 10_000))
def test_without_tolerance_the_rules_are_lifelines(n: int, seed: int) -> None:
    time, event, risk = cohort(n, seed, ties=True)
    correct, pairs = pair_rules(time, event, risk)
    found = harrell(time, event, risk, tied_tol=0.0)
    assert found.comparable == pairs
    assert found.value == (pytest.approx(correct / pairs, abs=1e-12) if pairs else None)


@pytest.mark.parametrize("ties", [True, False])
def test_lifelines_itself(ties: bool) -> None:
    lifelines = pytest.importorskip("lifelines.utils", reason="lifelines is not installed")
    time, event, risk = cohort(400, 2, ties)
    expected = lifelines.concordance_index(time, -risk, event)
    assert harrell(time, event, risk).value == pytest.approx(expected, abs=1e-12)


@given(
    st.lists(st.integers(-4, 4), min_size=2, max_size=12),
    st.sampled_from([0.0, 1e-8, 0.1, 0.3, 1.0, 7.7, 1e6, 1e9]),
    st.integers(0, 1000),
)
@example([0, 1, 2, 3], 0.3, 0)
def test_risks_about_the_tolerance_apart_are_tied_as_in_scikit_survival(
    steps: list[int], base: float, seed: int
) -> None:
    # Multiples of the tolerance, and one rounding to either side of them.
    rng = np.random.default_rng(seed)
    risk = base + np.array(steps) * TIED
    risk = np.nextafter(risk, risk + rng.integers(-1, 2, len(risk)))
    time, event = rng.permutation(len(risk)) + 1.0, np.ones(len(risk), bool)
    _, *counts = concordance_index_censored(event, time, risk)
    found = harrell(time, event, risk, tied_tol=TIED)
    assert [found.concordant, found.discordant, found.tied_risk, found.tied_time] == counts


@pytest.mark.parametrize("base", [1e-9, 1e-8, 1.0, 1e3])
@pytest.mark.parametrize("side", [-1, 1])
def test_the_last_digit_decides_as_the_rounded_difference_does(base: float, side: int) -> None:
    """Where risk ± tolerance, rounded, and the difference of two risks, rounded, disagree about a tie."""
    sums_disagree = 0
    for risk in base * (1 + np.random.default_rng(0).uniform(-1e-3, 1e-3, 40)):
        for steps in (-2, -1, 0, 1, 2):
            other = risk + side * TIED
            for _ in range(abs(steps)):
                other = np.nextafter(other, other + steps)
            tied = abs(risk - other) <= TIED
            sums_disagree += tied != (risk - TIED <= other <= risk + TIED)
            found = harrell(np.array([1.0, 2.0]), np.array([True, False]), np.array([risk, other]), tied_tol=TIED)
            assert found.tied_risk == tied
    if base != 1e3 or side == -1:
        assert sums_disagree > 0  # else this tests nothing


def test_ties_of_risk_are_not_transitive() -> None:
    # 0 and 0.8 are tied, 0.8 and 1.6 are, 0 and 1.6 (in units of the tolerance) are not.
    risk = np.array([0.0, 0.8, 1.6]) * TIED
    found = harrell(np.array([1.0, 2.0, 3.0]), np.array([True, True, False]), risk, tied_tol=TIED)
    assert (found.concordant, found.discordant, found.tied_risk) == (0, 1, 2)


def test_a_tied_event_is_compared_with_the_censored_and_not_with_the_event() -> None:
    time, event = np.full(4, 5.0), np.array([True, True, False, False])
    found = harrell(time, event, np.array([4.0, 2.0, 3.0, 1.0]))
    assert (found.comparable, found.concordant, found.discordant, found.tied_time) == (4, 3, 1, 4)
    assert harrell(time, np.ones(4, bool), np.arange(4.0)).value is None


@pytest.mark.parametrize(
    ("event", "value"),
    [([False] * 4, None), ([True, False, False, False], 1.0), ([False, False, False, True], None)],
    ids=["all censored", "one event, first", "one event, last"],
)
def test_few_events(event: list[bool], value: float | None) -> None:
    assert harrell(np.arange(1.0, 5.0), np.array(event), np.arange(4.0)[::-1]).value == value


@pytest.mark.parametrize("size", [0, 1])
def test_nobody_to_compare_with(size: int) -> None:
    assert harrell(np.ones(size), np.ones(size, bool), np.ones(size)).value is None


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_infinite_and_missing_numbers_are_refused(bad: float) -> None:
    fine = np.array([1.0, 2.0])
    if np.isnan(bad):  # no answer: the pair counts as discordant
        assert harrell(fine, np.array([True, False]), np.array([1.0, bad])).value == 0.0
    else:
        with pytest.raises(UserError, match="risk is infinite"):
            harrell(fine, np.array([True, False]), np.array([1.0, bad]))
    with pytest.raises(UserError, match="time is NaN or infinite"):
        harrell(np.array([1.0, bad]), np.array([True, False]), fine)


def test_wrong_shapes_and_kinds_are_refused() -> None:
    fine = np.array([1.0, 2.0])
    with pytest.raises(UserError, match="do not match"):
        harrell(fine, np.array([True, False]), np.ones(3))
    with pytest.raises(UserError, match="float64 events"):  # 1 = censored is easily handed in instead
        harrell(fine, np.array([1.0, 0.0]), fine)


@pytest.mark.parametrize("ties", [True, False])
@pytest.mark.parametrize("tau", [None, 3.0, 8.0, 1e9])
def test_uno_is_scikit_survivals_at_any_tau(tau: float | None, ties: bool) -> None:
    time, event, risk = cohort(150, 4, ties)
    train_time, train_event, _ = cohort(120, 5, ties)
    value, used = uno(train_time, train_event, time, event, risk, tau)
    assert used <= train_time.max()
    train, test = outcome(train_event, train_time), outcome(event, time)
    assert value == pytest.approx(concordance_index_ipcw(train, test, risk, tau=used)[0], abs=1e-12)


def test_tau_beyond_follow_up_is_brought_back_to_its_end() -> None:
    assert truncation_time(np.array([1.0, 9.0, 4.0]), 30.0) == 9.0
    assert truncation_time(np.array([1.0, 9.0, 4.0]), 5.0) == 5.0


def test_uno_by_hand() -> None:
    # Training: censored at 2 of three still at risk (2, 4, 6), so G = 1 before and 2/3 from 2 on.
    train_time, train_event = np.array([1.0, 2.0, 4.0, 6.0]), np.array([True, False, True, True])
    time, event = np.array([1.0, 3.0, 5.0]), np.array([True, True, False])
    risk = np.array([2.0, 1.0, 3.0])  # pairs of the first: one right, one wrong; of the second: wrong
    value, _ = uno(train_time, train_event, time, event, risk, tau=6.0)
    assert value == pytest.approx(1 / (2 + 9 / 4))
    assert uno(train_time, train_event, time, event, risk, tau=3.0)[0] == 0.5  # the event at tau itself has no weight


@pytest.mark.parametrize(
    ("time", "event", "reason"),
    [
        ([1.0, 2.0], [False, False], "no event among"),
        ([8.0, 9.0], [True, False], "no event before tau = 5 months"),
        ([1.0, 1.0], [True, True], "no comparable pair"),
    ],
)
def test_where_uno_is_undefined_the_reason_is_said(time: list[float], event: list[bool], reason: str) -> None:
    train = np.array([1.0, 5.0, 5.0]), np.array([True, False, True])
    test = np.array(time), np.array(event)
    value, tau = uno(*train, *test, np.array([1.0, 2.0]), tau=5.0)
    assert value is None
    assert reason in (why_uno_is_undefined(*test, tau) or "")


def test_uno_with_training_follow_up_of_one_kind_only() -> None:
    time, event, risk = cohort(60, 9, ties=False)
    inside = float(time.max()) + 1
    train_time = np.append(time, inside)
    # Nobody censored in training: G = 1 throughout, so Uno's C is Harrell's.
    uncensored = uno(train_time, np.ones(61, bool), time, event, risk, tau=inside)[0]
    assert uncensored == pytest.approx(harrell(time, event, risk).value, abs=1e-12)
    censored = uno(train_time, np.zeros(61, bool), time, event, risk, tau=inside)[0]
    assert censored is not None
    assert censored != pytest.approx(uncensored, abs=1e-3)


@given(st.integers(2, 60), st.integers(0, 10_000), st.booleans(), st.sampled_from([1e-3, 1e-10, 1e-60, 1e-300]))
def test_no_scale_turns_an_order_into_ties(n: int, seed: int, ties: bool, scale: float) -> None:
    """Right: the same C. With scikit-survival's absolute tolerance it is .5 from 1e-10 on."""
    time, event, risk = cohort(n, seed, ties)
    right, found = harrell(time, event, risk), harrell(time, event, risk * scale)
    assert found == right
    train = time.max() + np.append(time, 1.0), np.append(event, True)
    assert uno(*train, time, event, risk * scale)[0] == pytest.approx(uno(*train, time, event, risk)[0])


def test_pseudo_values_and_the_time_dependent_auc_do_not_know_the_scale_either() -> None:
    time, event, risk = cohort(120, 3, ties=True)
    train_time, train_event, _ = cohort(150, 5, ties=False)
    auc = mean_auc(train_time, train_event, time, event, risk)
    assert auc is not None
    assert mean_auc(train_time, train_event, time, event, risk * 1e-10) == pytest.approx(auc, abs=1e-12)
    one, other = (fold_concordance(FoldOutcome("a", time, event, risk * by)) for by in (1.0, 1e-10))
    assert one is not None
    np.testing.assert_allclose(one, other, rtol=1e-12)


def test_one_value_up_to_rounding_is_no_order() -> None:
    time, event, _ = cohort(60, 1, ties=False)
    noise = 0.7 + np.random.default_rng(0).integers(-2, 3, 60) * 1.1e-16
    assert harrell(time, event, noise).value == 0.5


def test_who_was_not_answered_is_discordant_in_every_pair() -> None:
    time, event, risk = cohort(80, 6, ties=True)
    absent = np.zeros(80, bool)
    absent[[3, 20, 41]] = True
    pairs = concordant = 0.0
    for a in range(80):
        for b in range(80):
            if event[a] and (time[a] < time[b] or (time[a] == time[b] and not event[b])):
                pairs += 1
                if not absent[a] and not absent[b]:
                    concordant += 0.5 if risk[a] == risk[b] else float(risk[a] > risk[b])
    found = harrell(time, event, np.where(absent, np.nan, risk))
    assert (found.comparable, found.value) == (pairs, pytest.approx(concordant / pairs))
    assert found.value < (harrell(time, event, risk).value or 0)
    assert harrell(time, event, np.full(80, np.nan)).value == 0.0
    fold = FoldOutcome("a", time, event, np.where(absent, np.nan, risk))
    comparable, score = pairs_of_each(fold)
    assert score.sum() == pytest.approx(2 * concordant)  # each pair has two ends
    assert comparable.sum() == 2 * pairs
