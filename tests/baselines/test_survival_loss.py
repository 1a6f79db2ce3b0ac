"""The discrete-time likelihood against its definition, and bins that look at training events alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.training.survival_loss import BINS, bin_edges, bins_of, nll, risk_of, survival_of

LOGITS = st.lists(st.floats(-3, 3), min_size=BINS, max_size=BINS)
"""Moderate, so that no probability reaches the clamp at 1e-7: beyond it the loss leaves the definition on purpose."""


def likelihood(logits: list[float], place: int, event: bool) -> tuple[float, float]:
    """(all patients' term, events' term) of one patient, in plain Python from the definition of a hazard."""
    hazard = [1 / (1 + math.exp(-value)) for value in logits]
    lived_before = math.prod(1 - h for h in hazard[:place])
    if event:
        term = -math.log(lived_before * hazard[place])
        return term, term
    return -math.log(lived_before * (1 - hazard[place])), 0.0


@given(LOGITS, st.integers(0, BINS - 1), st.booleans(), st.sampled_from([0.0, 0.15, 1.0]))
@settings(max_examples=60, deadline=None)
def test_loss_is_the_likelihood_of_the_definition(logits: list[float], place: int, event: bool, alpha: float) -> None:
    both, seen = likelihood(logits, place, event)
    given_logits = torch.tensor([logits], dtype=torch.float64)
    found = float(nll(given_logits, torch.tensor([place]), torch.tensor([event]), alpha))
    assert found == pytest.approx((1 - alpha) * both + alpha * seen, rel=1e-6, abs=1e-9)


@given(LOGITS)
@settings(max_examples=40, deadline=None)
def test_probabilities_of_all_fates_sum_to_one(logits: list[float]) -> None:
    """An event in bin 0, 1, 2 or 3, or none at all: that is everything that can happen."""
    row = torch.tensor([logits], dtype=torch.float64).repeat(BINS, 1)
    events = torch.exp(-nll(row, torch.arange(BINS), torch.ones(BINS, dtype=torch.bool))).sum()
    none = torch.exp(-nll(row[:1], torch.tensor([BINS - 1]), torch.tensor([False])))[0]
    assert float(events + none) == pytest.approx(1.0, abs=1e-6)


@given(LOGITS, st.integers(0, BINS - 1), st.floats(0.1, 3))
@settings(max_examples=40, deadline=None)
def test_a_higher_hazard_anywhere_is_a_higher_risk(logits: list[float], place: int, more: float) -> None:
    raised = [value + more * (k == place) for k, value in enumerate(logits)]
    low, high = risk_of(torch.tensor([logits, raised], dtype=torch.float64))
    assert high > low


def test_survival_falls_from_at_most_one() -> None:
    survival = survival_of(torch.randn(50, BINS, generator=torch.Generator().manual_seed(0)))
    assert (survival <= 1).all()
    assert (survival.diff(dim=1) <= 0).all()


def test_the_gradient_moves_each_hazard_the_right_way() -> None:
    """Censored in the last bin: every hazard should fall. Event in bin 1: hazard 0 falls, 1 rises, later ones rest."""
    logits = torch.zeros((2, BINS), requires_grad=True)
    torch.autograd.backward(nll(logits, torch.tensor([BINS - 1, 1]), torch.tensor([False, True])).sum())
    assert logits.grad is not None
    assert torch.sign(logits.grad).tolist() == [[1, 1, 1, 1], [1, -1, 0, 0]]


def test_tied_times_have_one_loss_each_for_event_and_censoring() -> None:
    edges = np.array([5.0, 10.0, 20.0])
    bins = torch.from_numpy(bins_of(np.array([10.0, 10.0, 10.0, 10.0]), edges))
    assert bins.tolist() == [2, 2, 2, 2]
    values = nll(torch.tensor([[0.3, -0.2, 0.1, 0.0]] * 4), bins, torch.tensor([True, True, False, False]))
    assert values[0] == values[1]
    assert values[2] == values[3]
    assert values[0] != values[2]


def test_beyond_the_clamp_a_patient_costs_no_more() -> None:
    """Hazards of nearly 1 in every bin, and the patient lived: S is 5e-18, and counts as 1e-7."""
    value = nll(torch.full((1, BINS), 10.0, dtype=torch.float64), torch.tensor([BINS - 1]), torch.tensor([False]))
    assert float(value) == pytest.approx(-math.log(1e-7))


def test_edges_ignore_censored_patients() -> None:
    rng = np.random.default_rng(0)
    time, event = rng.exponential(20, 80), rng.random(80) < 0.4
    moved = np.where(event, time, time * 100)
    np.testing.assert_array_equal(bin_edges(time, event), bin_edges(moved, event))
    np.testing.assert_allclose(bin_edges(time, event), np.quantile(time[event], [0.25, 0.5, 0.75]))


def test_edges_follow_the_unit_of_time() -> None:
    rng = np.random.default_rng(1)
    time, event = rng.exponential(20, 80), rng.random(80) < 0.4
    np.testing.assert_allclose(bin_edges(time * 30.4, event), bin_edges(time, event) * 30.4)


def test_a_quarter_of_training_events_falls_into_each_bin() -> None:
    time = np.random.default_rng(2).permutation(np.arange(1.0, 41.0))
    event = np.ones(40, dtype=bool)
    assert np.bincount(bins_of(time, bin_edges(time, event))).tolist() == [10, 10, 10, 10]


def test_times_beyond_training_follow_up_take_the_outer_bins() -> None:
    assert bins_of(np.array([1e-6, 1e6]), np.array([5.0, 10.0, 20.0])).tolist() == [0, BINS - 1]


def test_a_fold_without_any_event_still_has_edges() -> None:
    edges = bin_edges(np.array([1.0, 2.0, 3.0, 4.0]), np.zeros(4, dtype=bool))
    assert np.isfinite(edges).all()
    assert (np.diff(edges) > 0).all()
