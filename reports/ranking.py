"""Ranks of the models of one board, and what its patients can show at all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from protocols.metrics.pairwise import Pairs, compare_all, telling
from protocols.metrics.patient_values import PatientValues


@dataclass(frozen=True)
class Detectable:
    """The least true difference between the two best models that these patients would show with 80 % power."""

    best: str
    second: str
    difference: float


@dataclass(frozen=True)
class Behind:
    """A model against the board's best: the difference, standardised (in standard deviations of patients' differences;
    None without spread), and its p, adjusted for all pairs of the board."""

    difference: float
    effect: float | None
    p: float


@dataclass(frozen=True)
class Ranking:
    """``ranks`` by model; ``ties`` are the groups of models that share a rank, in its order; ``behind`` by model, the
    best left out. ``telling``: whether a difference of any size could have been shown."""

    ranks: dict[str, int] = field(default_factory=dict)
    ties: tuple[tuple[int, tuple[str, ...]], ...] = ()
    detectable: Detectable | None = None
    behind: dict[str, Behind] = field(default_factory=dict)
    telling: bool = True


def rank_models(
    models: Mapping[str, PatientValues], *, seed: int, sign: int = 1, noise: Mapping[str, float] | None = None
) -> Ranking:
    """Rank = 1 + the number of models that are better beyond chance, all pairs of the board taken together
    (:mod:`protocols.metrics.pairwise`): models that the patients cannot tell apart share a rank.

    ``sign``: -1 where less is better. ``noise``: variance of each headline between training seeds.
    """
    models = {name: values for name, values in models.items() if len(values)}
    if not models:
        return Ranking()
    pairs = compare_all(models, seed, noise)
    better = dict.fromkeys(models, 0)
    for one in pairs.pairs:
        if one.apart:
            better[one.b if sign * one.difference > 0 else one.a] += 1
    ranks = {name: 1 + number for name, number in better.items()}
    order = sorted(models, key=lambda name: (ranks[name], -sign * models[name].mean, name))
    best = min(models, key=lambda name: (-sign * models[name].mean, name))
    behind = {name: _behind(pairs, name, best) for name in order if name != best}
    enough = any(telling(values) for values in models.values())
    return Ranking(ranks, _ties(order, ranks), _detectable(pairs, order), behind, enough)


def _behind(pairs: Pairs, name: str, best: str) -> Behind:
    found = pairs.of(name, best)
    return Behind(found.difference, found.effect, found.p)


def _ties(order: Sequence[str], ranks: Mapping[str, int]) -> tuple[tuple[int, tuple[str, ...]], ...]:
    sharing: dict[int, list[str]] = defaultdict(list)
    for name in order:
        sharing[ranks[name]].append(name)
    return tuple((rank, tuple(models)) for rank, models in sorted(sharing.items()) if len(models) > 1)


def _detectable(pairs: Pairs, order: Sequence[str]) -> Detectable | None:
    if len(order) < 2:
        return None
    difference = pairs.detectable(*order[:2])
    return None if difference is None else Detectable(order[0], order[1], difference)
