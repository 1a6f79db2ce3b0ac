"""Does a feature, or a few of them together, hold the outcome? What it holds is looked at, since names can be changed.

Out of fold throughout. One feature: its direction is chosen on the other folds' patients. A few together: chosen and
fitted on the other folds' patients, compared within the fold. Chance is outcomes permuted against features, over all
features and measures at once: for one feature by the variance that is known (with Šidák's bound), for a few by doing it
all again, choice and fit. A truly prognostic gene lies above chance too: so what lies there is a note, and only from
:data:`CEILING` on is the cohort refused. A feature of two values orders only pairs across the two (a follow-up that is
cut in half reaches .75), so it is noted and not refused.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from protocols.findings import Finding
from protocols.metrics.outcome_orders import MEASURES, NOTHING, Followed, Pairs, Signs, followed, ordered
from protocols.metrics.pair_counts import Bool, Float, Int
from protocols.metrics.ranks import average_ranks
from protocols.seeds import generator

CEILING = 0.90
"""Any measure from which no feature is believed to be one: published models of survival stay below .8, of response
below .85."""
NOISE = 0.05
"""Share of cohorts without any signal in which something is noted, half of it for one feature, half for a few."""
CERTAIN = 0.001
"""Share of such cohorts that are refused for one feature, however few their events."""
ENOUGH = 20
"""Fewest patients with a value, and fewest on either side of the event for a fit, from which a statement is made."""
FOLDS = 5
CLOSELY = 12
"""Features that are compared pair by pair, by each measure: those whose ranks follow it the most."""
SIZES = (2, 5)
"""How many features are fitted together."""
PENALTY = 0.05
"""Of that ridge regression, a patient."""
NAMED = 5
ONE = "no outcome among the features, by content"
FEW = "no outcome in a few features together"
_AT_ONCE = 500
"""Features whose ranks are made at once."""


@dataclass(frozen=True)
class Look:
    """One feature, or a few together, by one measure: what it reaches, and above what it is noted and refused."""

    names: tuple[str, ...]
    measure: str
    value: float
    chance: float
    certain: float

    @property
    def refused(self) -> bool:
        return self.value >= max(CEILING, self.certain)

    @property
    def noted(self) -> bool:
        return self.value >= self.chance

    def said(self) -> str:
        return f"{' + '.join(map(repr, self.names))}: {self.measure} {self.value:.3f}"


@dataclass(frozen=True)
class _Cohort:
    """Features ``(n, p)`` as they are and in ranks, the folds ``(n,)``, and of each measure what pairs say."""

    names: tuple[str, ...]
    values: NDArray[Any]
    ranks: NDArray[np.float32]
    event: Bool
    fold: Int
    signs: dict[str, Signs]

    @cached_property
    def scores(self) -> dict[str, Float]:
        return {measure: _scores(signs, self.fold) for measure, signs in self.signs.items()}

    @cached_property
    def blocks(self) -> dict[str, list[tuple[Bool, Signs, Followed]]]:
        """Of each measure and fold: whose the fold is, their pairs, and the concordance of nothing with these."""
        tests = [self.fold == fold for fold in range(FOLDS)]
        inner = {name: [signs[np.ix_(test, test)] for test in tests] for name, signs in self.signs.items()}
        return {
            name: [(test, one, followed(one, np.zeros(len(one)))) for test, one in zip(tests, blocks, strict=True)]
            for name, blocks in inner.items()
        }

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many features are fitted together, none where too few patients are on either side of the event."""
        fewest = min(int(self.event.sum()), int((~self.event).sum()))
        return tuple(size for size in SIZES if size <= len(self.names)) if fewest >= ENOUGH else ()


def outcome_findings(
    names: Sequence[str], values: NDArray[Any], time: Float, event: Bool, measures: Mapping[str, Pairs] = MEASURES
) -> list[Finding]:
    """What the features ``names`` with ``values`` ``(n, p)`` (NaN: unknown) tell of an outcome: two findings.

    ``measures``: which pairs of patients it orders; of an outcome without time (``time`` all 0) those of the event.
    """
    known = np.isfinite(values)
    usable = np.flatnonzero((known.sum(axis=0) >= ENOUGH) & _varies(values, known))
    looked_at = f"looked at {len(usable)} of {len(names)} features"
    cohort = _cohort([names[column] for column in usable.tolist()], values[:, usable], time, event, measures)
    if not len(usable) or not cohort.signs:
        return [Finding(check, "pass", looked_at) for check in (ONE, FEW)]
    sizes = " and ".join(map(str, cohort.sizes))
    fitted = f"{sizes} at once, {looked_at}" if sizes else f"none fitted: {len(usable)} features, {event.sum()} events"
    return [_finding(ONE, _one(cohort), looked_at), _finding(FEW, _few(cohort), fitted)]


def _varies(values: NDArray[Any], known: Bool) -> Bool:
    lowest = np.where(known, values, np.inf).min(axis=0, initial=np.inf)
    return np.asarray(lowest < np.where(known, values, -np.inf).max(axis=0, initial=-np.inf))


def _cohort(
    names: Sequence[str], values: NDArray[Any], time: Float, event: Bool, measures: Mapping[str, Pairs]
) -> _Cohort:
    ranks = np.empty(values.shape, dtype=np.float32)
    for start in range(0, values.shape[1], _AT_ONCE):
        ranks[:, start : start + _AT_ONCE] = _ranks(values[:, start : start + _AT_ONCE])
    # Dealt in the order of follow-up, those with the event first: every fold has its share of events and of times.
    fold = np.empty(len(time), dtype=np.int64)
    fold[np.lexsort((time, ~event))] = np.arange(len(time)) % FOLDS
    signs = {measure: pairs(time, event) for measure, pairs in measures.items()}
    told = {measure: found for measure, found in signs.items() if found.any()}
    return _Cohort(tuple(names), values, ranks, event, fold, told)


def _ranks(values: NDArray[Any]) -> Float:
    """Ranks of each column about their mean, zero where unknown; of one length for equally many known patients."""
    known = np.isfinite(values)
    ranks = average_ranks(np.where(known, values, np.nan))
    ranks = np.nan_to_num(ranks - np.nanmean(ranks, axis=0))
    return np.asarray(ranks / np.sqrt((ranks**2).sum(axis=0) * known.mean(axis=0)))


def _scores(signs: Signs, fold: Int) -> Float:
    """How high a patient's value should be (Gehan's scores for Harrell's pairs), by the patients outside each fold;
    zero for the fold's own: ``(n, FOLDS)``."""
    outside = [fold != one for one in range(FOLDS)]
    return np.column_stack([np.where(train, signs[:, train].sum(axis=1, dtype=np.float64), 0) for train in outside])


def _one(cohort: _Cohort) -> list[Look]:
    """The features that follow each measure the most, each with its concordance."""
    looks = []
    tests = len(cohort.signs) * len(cohort.names)
    for measure, signs in cohort.signs.items():
        follows = cohort.ranks.T @ cohort.scores[measure].astype(np.float32)
        for column in _first(follows.sum(axis=1), CLOSELY):
            found = followed(signs, cohort.values[:, column], np.sign(follows[column])[cohort.fold])
            limits = [_chance(found, share, tests, cohort.event) for share in (NOISE / 2, CERTAIN)]
            looks.append(Look((cohort.names[column],), measure, found.value, *limits))
    return looks


def _first(follows: NDArray[Any], size: int) -> Int:
    """The features that follow the most, either way, in that order."""
    strength = -np.abs(follows)
    some = np.argpartition(strength, min(size, len(strength)) - 1)[:size]
    return np.asarray(some[np.lexsort((some, strength[some]))])


def _chance(found: Followed, share: float, tests: int, event: Bool) -> float:
    """What the best of ``tests`` concordances reaches by chance in a ``share`` of cohorts: a normal tail, both sides.

    With few events that can lie above 1: then a perfect order is still more than chance, if there are more ways to deal
    the events than chance could try.
    """
    each = -math.expm1(math.log1p(-share) / tests)
    reached = 0.5 + float(norm.isf(each / 2)) * found.spread
    ways = math.lgamma(len(event) + 1) - math.lgamma(event.sum() + 1) - math.lgamma((~event).sum() + 1)
    return min(reached, 1.0) if ways > math.log(2 / each) else reached


def _few(cohort: _Cohort) -> list[Look]:
    """A few features together by each measure and size; chance is the best of as many permutations as make it rare."""
    if not cohort.sizes:
        return []
    rng = generator(0, "outcome leak")
    n = len(cohort.fold)
    permuted = [_together(cohort, rng.permutation(n)) for _ in range(round(2 / NOISE) - 1)]
    limit = max((found.value - 0.5) / found.spread for once in permuted for _, _, found in once)
    looks = []
    for measure, names, found in _together(cohort, np.arange(n)):
        chance = 0.5 + limit * found.spread
        looks.append(Look(names, measure, found.value, chance, chance))
    return looks


def _together(cohort: _Cohort, row: Int) -> list[tuple[str, tuple[str, ...], Followed]]:
    """Each measure and size: the features chosen in most folds, and their concordance; patient i has the features of
    patient ``row[i]``."""
    found = []
    back = np.argsort(row)
    for measure, scores in cohort.scores.items():
        follows = cohort.ranks.T @ scores[back].astype(np.float32)
        first = [_first(follows[:, fold], max(cohort.sizes)) for fold in range(FOLDS)]
        given = [cohort.ranks[np.ix_(row, columns)].astype(np.float64) for columns in first]
        for size in cohort.sizes:
            total = NOTHING
            for fold, (test, signs, nothing_ordered) in enumerate(cohort.blocks[measure]):
                answer = _fitted(given[fold][:, :size], scores[:, fold], test)
                total += replace(nothing_ordered, right=float(ordered(signs, answer).sum()))
            often = Counter(int(column) for columns in first for column in columns[:size]).most_common(size)
            found.append((measure, tuple(cohort.names[column] for column, _ in often), total))
    return found


def _fitted(given: Float, scores: Float, test: Bool) -> Float:
    """A ridge regression of the scores outside ``test``, answered for ``test``.

    For Harrell's pairs that is the first step of a Cox regression (weighted as Gehan does). The steps after it need not
    settle where features tell the outcome, and scikit-survival's do not.
    """
    train = given[~test]
    scaled = (given - train.mean(axis=0)) / np.maximum(train.std(axis=0), 1e-9)
    inner = scaled[~test].T @ scaled[~test] + PENALTY * len(train) * np.eye(given.shape[1])
    return np.asarray(scaled[test] @ np.linalg.solve(inner, scaled[~test].T @ scores[~test]))


def _finding(check: str, looks: Sequence[Look], looked_at: str) -> Finding:
    best: dict[tuple[str, ...], Look] = {}
    for look in sorted(looks, key=lambda look: (not look.refused, not look.noted, -look.value)):
        best.setdefault(look.names, look)
    refused, noted = [[look for look in best.values() if getattr(look, kind)] for kind in ("refused", "noted")]
    if refused:
        why = f"{CEILING:.2f} or more is the outcome itself, no feature"
        return Finding(check, "fail", f"{_listed(refused)}: {why} ({looked_at})")
    if noted:
        why = f"more than chance and less than {CEILING:.2f}: prognostic, or a trace of the outcome"
        return Finding(check, "note", f"{_listed(noted)}: {why} ({looked_at})")
    highest: dict[str, Look] = {}
    for look in sorted(looks, key=lambda look: -look.value):
        highest.setdefault(look.measure, look)
    told = [f"{look.measure} {look.value:.3f} (chance reaches {look.chance:.3f})" for look in highest.values()]
    return Finding(check, "pass", "; ".join([looked_at, *told]))


def _listed(looks: Sequence[Look]) -> str:
    more = f"; and {len(looks) - NAMED} more" if len(looks) > NAMED else ""
    return "; ".join(look.said() for look in looks[:NAMED]) + more
