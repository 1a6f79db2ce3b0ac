"""Which meta-module a tile belongs to, and how well two maps of subtypes agree (SEQUOIA, Figure 5e)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

NO_SUBTYPE = 255
"""A tile without a subtype: two modules tie, or none has a value."""


def modules_of(genes: Sequence[str], modules: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The modules that these genes belong to (``modules``: a gene to its modules), sorted by name."""
    return tuple(sorted({module for gene in genes for module in modules.get(gene, ())}))


def subtypes(
    values: NDArray[np.floating[Any]], genes: Sequence[str], modules: Mapping[str, Sequence[str]]
) -> NDArray[np.uint8]:
    """The module of each tile ``(t,)``, an index into :func:`modules_of`; ``NO_SUBTYPE`` where none or two are highest.

    The genes of a module are averaged, the average becomes a percentile within the section (average ranks), and the
    highest wins (SEQUOIA: a tile's subtype is the module whose mean has the highest within-slide percentile).
    A constant average says nothing, and has no rank.
    """
    from scipy.stats import rankdata

    names = modules_of(genes, modules)
    ranks = np.full((len(values), max(len(names), 1)), -np.inf)
    for place, name in enumerate(names):
        mean = np.asarray(values, np.float64)[:, [name in modules.get(gene, ()) for gene in genes]].mean(axis=1)
        known = np.isfinite(mean)
        if known.any() and np.ptp(mean[known]) > 1e-9:
            ranks[known, place] = rankdata(np.round(mean[known], 9)) / known.sum() * 100
    best = ranks.max(axis=1)
    alone = np.isfinite(best) & ((ranks == best[:, None]).sum(axis=1) == 1)
    return np.where(alone, ranks.argmax(axis=1), NO_SUBTYPE).astype(np.uint8)


def kappa(truth: NDArray[np.uint8], predicted: NDArray[np.uint8]) -> tuple[float, float | None] | None:
    """Share of equal tiles, and Cohen's kappa, over the tiles whose truth has a subtype; None without such a tile.

    A tile to which the prediction gives none is answered by a class of its own, which is never right: a constant map
    has a share and a kappa of 0. Kappa is None where the truth has one subtype alone: then no map could show anything.
    """
    known = truth != NO_SUBTYPE
    if not known.any():
        return None
    a, b = truth[known], predicted[known]
    same = float((a == b).mean())
    chance = sum(float((a == m).mean() * (b == m).mean()) for m in np.unique(a))
    return same, (same - chance) / (1 - chance) if len(np.unique(a)) > 1 else None
