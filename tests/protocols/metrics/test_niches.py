"""Niches: five cells by hand, brute force, the exact mean, false positives, a planted cluster, refusals."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest

from protocols.errors import UserError
from protocols.metrics.niches import Counts, added, count_pairs, niches

LINE = np.array([[0.0, 0], [1, 0], [2, 0], [3, 0], [10, 0]])
LABELS = np.array([[1, 0], [0, 1], [1, 0], [0, 1], [0, 0]], dtype=bool)


def counted(xy: np.ndarray, labels: np.ndarray, radius: float = 1.0, **more: object) -> Counts:
    names = [f"M{i}" for i in range(labels.shape[1])]
    return count_pairs(xy, labels, names, radius=radius, seed=0, **{"permutations": 99, **more})  # type: ignore[arg-type]


def brute(xy: np.ndarray, a: np.ndarray, b: np.ndarray, radius: float) -> int:
    """The definition, cell by cell."""
    pairs = 0
    for i in range(len(xy)):
        for j in range(len(xy)):
            pairs += i != j and bool(a[i]) and bool(b[j]) and float(np.hypot(*(xy[i] - xy[j]))) <= radius
    return pairs


def scattered(seed: int, n: int = 150, k: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.uniform(0, 100, (n, 2)), rng.random((n, k)) < 0.3


def test_five_cells_by_hand() -> None:
    # A at 0 and 2, B at 1 and 3, radius 1: around 0 lies one B, around 2 two. Three neighbour pairs, six ordered.
    counts = counted(LINE, LABELS, permutations=4000)
    assert counts.neighbours == 6
    assert counts.observed.tolist() == [[0, 3], [3, 0]]
    assert counts.expected == pytest.approx(np.array([[6 * 2 / 20, 6 * 4 / 20], [6 * 4 / 20, 6 * 2 / 20]]))
    own, pair, _ = niches(counts, least_positives=1)
    assert (pair.observed, pair.null_mean) == (pytest.approx(1.5), pytest.approx(0.6))
    assert pair.log_ratio == pytest.approx(math.log(3.5 / 1.7))
    # All 120 orders: how often as many as three pairs, and the spread
    every = np.array([brute(LINE, LABELS[list(o), 0], LABELS[list(o), 1], 1.0) for o in permutations(range(5))])
    assert every.mean() == pytest.approx(1.2)
    assert pair.null_sd == pytest.approx(every.std() / 2, rel=0.05)
    assert pair.p_greater == pytest.approx((every >= 3).mean(), abs=0.01)
    assert pair.p == pytest.approx(2 * pair.p_greater)
    assert own.reason == "0.6 pairs expected by chance, fewer than 1"


def test_equals_the_definition_and_ties_at_the_radius_count() -> None:
    xy, labels = scattered(1)
    counts = counted(xy, labels, 12.0, permutations=1)
    for a in range(3):
        for b in range(3):
            assert counts.observed[a, b] == brute(xy, labels[:, a], labels[:, b], 12.0)
    assert counted(LINE, LABELS, 0.999, permutations=1).neighbours == 0
    twice = np.zeros((4, 2))  # four cells on one spot are neighbours of each other
    assert counted(twice, np.ones((4, 1), dtype=bool), permutations=1).observed.tolist() == [[12]]


def test_the_mean_of_the_null_is_the_hypergeometric_one() -> None:
    """m (a b - c) / (n (n - 1)), and the draws lie about it."""
    xy, labels = scattered(2)
    counts = counted(xy, labels, 12.0, permutations=2000)
    n, totals = len(xy), labels.sum(axis=0)
    for a in range(3):
        for b in range(3):
            both = int((labels[:, a] & labels[:, b]).sum())
            mean = counts.neighbours * (int(totals[a]) * int(totals[b]) - both) / (n * (n - 1))
            assert counts.expected[a, b] == pytest.approx(mean, rel=1e-12)
            error = counts.draws[:, a, b].std() / math.sqrt(2000)
            assert abs(counts.draws[:, a, b].mean() - mean) < 4 * error


def test_blocks_keep_what_lies_in_one_region_and_have_an_exact_mean_too() -> None:
    """Two markers of the left half: together at random, and no more than chance within squares."""
    rng = np.random.default_rng(3)
    xy = rng.uniform(0, 100, (600, 2))
    left = xy[:, 0] < 50
    labels = (rng.random((600, 2)) < 0.5) & left[:, None]
    whole = niches(counted(xy, labels, 8.0, permutations=499))[1]
    within = counted(xy, labels, 8.0, permutations=499, blocks=50.0)
    inside = niches(within)[1]
    assert whole.p == pytest.approx(2 / 500)
    assert whole.log_ratio == pytest.approx(math.log(2), abs=0.15)
    assert inside.p > 0.05
    assert abs(inside.log_ratio) < 0.1
    error = within.draws.std(axis=0) / math.sqrt(499)
    assert (np.abs(within.draws.mean(axis=0) - within.expected) < 4 * error).all()


def test_no_more_false_positives_than_promised() -> None:
    """Complete random labelling of clustered places with a hole: .05 of p at or below .05, ties make it fewer."""
    rng = np.random.default_rng(4)
    xy = np.concatenate([rng.normal(0, 5, (60, 2)), rng.uniform(-60, 60, (140, 2))])
    xy = xy[np.hypot(xy[:, 0] - 30, xy[:, 1]) > 15]
    found = []
    for seed in range(400):
        labels = rng.random((len(xy), 2)) < (0.25, 0.35)
        counts = count_pairs(xy, labels, "AB", radius=9.0, seed=seed, permutations=99)
        found.append([(one.p_greater, one.p_less, one.p) for one in niches(counts)])
    share = (np.array(found) <= 0.05).mean(axis=0)  # pairs × kinds of p
    assert (share < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 400)).all()
    assert (share[:, :2] > 0.05 - 3.5 * math.sqrt(0.05 * 0.95 / 400)).all()


def test_a_planted_cluster_is_found() -> None:
    hits = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        xy = rng.uniform(0, 300, (500, 2))
        near = np.hypot(*(xy - 150).T) < 60
        labels = np.stack([rng.random(500) < np.where(near, 0.4, 0.1) for _ in range(2)], axis=1)
        one = niches(count_pairs(xy, labels, "AB", radius=25.0, seed=seed, permutations=199), [("A", "B")])[0]
        hits += one.p_greater <= 0.05
        assert one.p_greater + one.p_less > 1 - 1e-9
    assert hits >= 36


def test_slides_of_a_patient_add_up_draw_by_draw() -> None:
    one, other = (counted(*scattered(seed), 12.0) for seed in (5, 6))
    both = added([one, other])
    assert both.cells == 300
    assert (both.observed == one.observed + other.observed).all()
    assert (both.draws == one.draws + other.draws).all()
    with pytest.raises(UserError, match="slides of other markers or permutations"):
        added([one, counted(*scattered(7), 12.0, permutations=5)])


def test_the_same_seed_draws_the_same_and_another_does_not() -> None:
    xy, labels = scattered(8)
    first, again = (count_pairs(xy, labels, "ABC", radius=12, seed=3, permutations=20).draws for _ in range(2))
    assert (first == again).all()
    assert (first != count_pairs(xy, labels, "ABC", radius=12, seed=4, permutations=20).draws).any()


def test_what_cannot_be_said_has_a_reason_and_no_part_in_the_correction() -> None:
    rng = np.random.default_rng(9)
    xy = rng.uniform(0, 60, (100, 2))
    labels = np.stack([rng.random(100) < 0.4, np.arange(100) < 3, np.ones(100, bool), np.zeros(100, bool)], axis=1)
    found = niches(counted(xy, labels, 10.0), undefined={"M3": "constant"})
    reasons = {(one.a, one.b): one.reason for one in found}
    assert reasons["M0", "M0"] == ""
    assert reasons["M0", "M1"] == "M1: 3 positive cells, fewer than 10"
    assert reasons["M0", "M2"] == "M2: 0 cells are not positive, fewer than 10"
    assert reasons["M0", "M3"] == "M3: constant"
    one = found[0]
    assert one.q == one.p  # the only defined pair of ten
    assert all(math.isnan(other.log_ratio) and other.p == other.q == 1 for other in found[1:])


@pytest.mark.parametrize(
    ("xy", "more", "said"),
    [
        (LINE[:1], {}, "positions"),
        (LINE * np.nan, {}, "not finite"),
        (LINE, {"radius": 0.0}, "radius 0.0"),
        (LINE, {"permutations": 0}, "0 permutations"),
        (LINE, {"blocks": -1.0}, "blocks -1.0"),
    ],
)
def test_refusals(xy: np.ndarray, more: dict[str, float], said: str) -> None:
    with pytest.raises(UserError, match=said):
        counted(xy, LABELS, **more)


def test_a_radius_as_large_as_the_tissue_is_refused_before_memory_is_taken() -> None:
    xy = np.random.default_rng(0).uniform(0, 1, (6000, 2))
    with pytest.raises(UserError, match=r"35994000 neighbours of 6000 cells.*smaller radius"):
        counted(xy, np.ones((6000, 1), dtype=bool), 5.0)
