"""Ranks of the models of one protocol, from their per-patient scores."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from protocols.metrics.bootstrap import Ranked, minimum_detectable_difference, ranks_with_ties


@dataclass(frozen=True)
class Detectable:
    """The least true difference between the two best models that these patients would show with 80 % power."""

    best: str
    second: str
    difference: float


@dataclass(frozen=True)
class Ranking:
    """``ranks`` by model; ``ties`` are the groups of models that share a rank, in its order."""

    ranks: dict[str, int] = field(default_factory=dict)
    ties: tuple[tuple[int, tuple[str, ...]], ...] = ()
    detectable: Detectable | None = None


def rank_models(per_model: Mapping[str, Mapping[str, float]], *, seed: int) -> Ranking:
    """Rank models by the paired bootstrap over patients; rank = 1 + the number of significantly better models."""
    ranked = ranks_with_ties(per_model, seed)
    return Ranking({entry.model: entry.rank for entry in ranked}, _ties(ranked), _detectable(ranked, per_model))


def _ties(ranked: Sequence[Ranked]) -> tuple[tuple[int, tuple[str, ...]], ...]:
    sharing: dict[int, list[str]] = defaultdict(list)
    for entry in ranked:
        sharing[entry.rank].append(entry.model)
    return tuple((rank, tuple(models)) for rank, models in sorted(sharing.items()) if len(models) > 1)


def _detectable(ranked: Sequence[Ranked], per_model: Mapping[str, Mapping[str, float]]) -> Detectable | None:
    if len(ranked) < 2:
        return None
    best, second = (entry.model for entry in ranked[:2])
    difference = minimum_detectable_difference(per_model[best], per_model[second])
    return None if difference is None else Detectable(best, second, difference)
