"""Ranks of the models of one protocol, from their per-patient scores."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from protocols.metrics.bootstrap import PERCENTILES, Ranked, minimum_detectable_difference, ranks_with_ties

POWER_FACTOR = 2.8
"""1.96 + 0.84: standard normal quantiles of the 5 % level (two-sided) and of 80 % power."""


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


def rank_models(per_model: Mapping[str, Mapping[str, float]], *, seed: int, sign: int = 1) -> Ranking:
    """Rank models by the paired bootstrap over patients; rank = 1 + the number of significantly better models.

    ``sign``: -1 where less is better.
    """
    per_model = {model: {p: sign * value for p, value in values.items()} for model, values in per_model.items()}
    ranked = ranks_with_ties(per_model, seed)
    return Ranking({entry.model: entry.rank for entry in ranked}, _ties(ranked), _detectable(ranked, per_model))


def rank_replicates(per_model: Mapping[str, tuple[float, Sequence[float]]], *, sign: int = 1) -> Ranking:
    """Rank models by a headline that is no mean over patients: ``(value, its value in each patient resample)``.

    The resamples are the same for every model, so their differences are paired: a model is better if the 95 % interval
    of its difference leaves out zero. The detectable difference is 2.8 standard errors of the paired difference (80 %
    power at the 5 % level, normal approximation). ``sign``: -1 where less is better.
    """
    per_model = {
        model: (sign * value, [sign * one for one in replicates]) for model, (value, replicates) in per_model.items()
    }
    models = sorted(per_model)
    better = dict.fromkeys(models, 0)
    for i, a in enumerate(models):
        for b in models[i + 1 :]:
            low, high = np.percentile(_differences(per_model[a][1], per_model[b][1]), PERCENTILES)
            better[b] += int(low > 0)
            better[a] += int(high < 0)
    rows = [Ranked(model, 1 + better[model], per_model[model][0], None, None) for model in models]
    ranked = sorted(rows, key=lambda row: (row.rank, -row.mean, row.model))
    detectable = None
    if len(ranked) > 1:
        best, second = (entry.model for entry in ranked[:2])
        spread = float(np.std(_differences(per_model[best][1], per_model[second][1]), ddof=1))
        detectable = Detectable(best, second, POWER_FACTOR * spread)
    return Ranking({entry.model: entry.rank for entry in ranked}, _ties(ranked), detectable)


def _differences(a: Sequence[float], b: Sequence[float]) -> NDArray[np.float64]:
    """Resample by resample. Of unequal numbers (an undefined resample was dropped) or of fewer than two nothing is
    paired: no difference."""
    return np.subtract(a, b) if len(a) == len(b) > 1 else np.zeros(2)


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
