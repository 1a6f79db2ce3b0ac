"""Gates: two Gaussians whose crossing is known, percentiles, gates given; what has none says so."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import norm

from protocols.errors import UserError
from protocols.metrics.positivity import Rule, gate, positives, read_rule


def two_populations(share: float = 0.2, n: int = 20_000) -> np.ndarray:
    rng = np.random.default_rng(0)
    log = np.where(rng.random(n) < share, rng.normal(7, 0.5, n), rng.normal(4, 0.4, n))
    return np.asarray(np.expm1(log))


def test_the_mixture_finds_where_two_known_gaussians_cross() -> None:
    crossing = brentq(lambda x: 0.2 * norm.pdf(x, 7, 0.5) - 0.8 * norm.pdf(x, 4, 0.4), 4, 7)
    found = gate("CD8", two_populations(), Rule(), seed=0)
    assert math.log1p(found.above) == pytest.approx(crossing, abs=0.1)
    assert found.share == pytest.approx(0.2, abs=0.01)
    assert found.separation == pytest.approx(math.sqrt(2) * 3 / math.hypot(0.5, 0.4), rel=0.03)
    assert found.note == ""
    assert found == gate("CD8", two_populations(), Rule(), seed=0)


def test_a_single_population_is_called_a_weak_gate() -> None:
    one = np.exp(np.random.default_rng(1).normal(5, 0.5, 5000))
    assert "a weak gate" in gate("X", one, Rule(), seed=0).note


def test_far_below_a_wide_upper_population_nobody_is_positive() -> None:
    """The wide Gaussian is the likelier one on both sides of the narrow one."""
    rng = np.random.default_rng(2)
    values = np.expm1(np.concatenate([rng.normal(5, 0.1, 8000), rng.normal(6, 1.0, 4000).clip(0.1)]))
    found = gate("X", values, Rule(), seed=0)
    assert math.log1p(found.above) > 5
    assert not (values[np.log1p(values) < 4] > found.above).any()


def test_cells_that_no_image_covered_do_not_move_the_gate() -> None:
    values = two_populations()
    without = gate("CD8", values, Rule(), seed=0)
    with_zeros = gate("CD8", np.concatenate([values, np.zeros(100)]), Rule(), seed=0)
    assert with_zeros.above == without.above
    assert with_zeros.share == pytest.approx(without.share * 20_000 / 20_100)
    assert with_zeros.note == "100 cells at or below 0: negative, not fitted"


def test_percentile_and_gates_given() -> None:
    values = np.arange(1, 102, dtype=float)
    at = gate("A", values, read_rule("percentile:90"), seed=0)
    assert (at.above, at.share, at.rule) == (91.0, pytest.approx(10 / 101), "above the marker's 90th percentile")
    given = gate("A", values, read_rule("A=50, B-1=3"), seed=0)
    assert (given.above, given.share) == (50.0, pytest.approx(51 / 101))
    none = gate("C", values, read_rule("A=50"), seed=0)
    assert none.reason == "no gate given"
    assert positives(np.array([[50.0, 9.0], [51.0, 9.0]]), [given, none]).tolist() == [[False, False], [True, False]]


@pytest.mark.parametrize(
    ("values", "reason"),
    [([5.0] * 20, "constant"), ([0.0] * 10 + [1.0, 2.0] * 10, "fewer than three different values above 0")],
)
def test_what_has_no_gate_says_why(values: list[float], reason: str) -> None:
    found = gate("A", np.array(values), Rule(), seed=0)
    assert (found.reason, math.isnan(found.above)) == (reason, True)


@pytest.mark.parametrize(
    ("text", "said"),
    [("gm", "gmm"), ("percentile:0", "between 0 and 100"), ("percentile:x", "no number"), ("CD8=high", "no number"),
     ("=3", "MARKER=VALUE")],
)  # fmt: skip
def test_a_rule_that_nobody_knows_is_refused(text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        read_rule(text)


def test_values_that_are_not_finite_are_refused() -> None:
    with pytest.raises(UserError, match="CD8 has no value"):
        gate("CD8", np.array([1.0, math.nan]), Rule(), seed=0)
