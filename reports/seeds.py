"""Several training seeds of one cell: which one stands for the cell, and how far apart they lie."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from protocols.errors import UserError
from protocols.records import ScoreRecord

Cell = tuple[str, str, str]
"""Protocol, board, model."""


@dataclass(frozen=True)
class SeedScore:
    """The headline of one training seed."""

    seed: int
    mean: float


@dataclass(frozen=True)
class SeedSpread:
    """Over the seeds that were measured; ``sd`` (n - 1 in the denominator) needs two of them."""

    mean: float | None
    sd: float | None
    n: int


def by_cell(records: Sequence[ScoreRecord], seed: int) -> dict[Cell, list[ScoreRecord]]:
    """Every cell's records, the one that stands for the cell first: of the run's own ``seed``, else of the lowest.

    Raises :class:`UserError` if a cell holds records of two profiles: they are not one model with other seeds.
    """
    found: dict[Cell, list[ScoreRecord]] = defaultdict(list)
    for record in sorted(records, key=lambda one: (one.seed != seed, one.seed)):
        found[record.protocol, record.board, record.model].append(record)
    for (protocol, board, model), own in found.items():
        profiles = sorted({record.profile for record in own})
        if len(profiles) > 1:
            raise UserError(
                f"records of the profiles {' and '.join(profiles)} under one name",
                where=f"{protocol}, {board}: {model}",
                expected="one model a name, whatever its seeds",
                remedy="rename or remove one of them",
            )
    return dict(sorted(found.items()))


def first_seeds(records: Sequence[ScoreRecord], seed: int) -> list[ScoreRecord]:
    """The record that stands for each cell."""
    return [own[0] for own in by_cell(records, seed).values()]


def seed_scores(own: Sequence[ScoreRecord]) -> tuple[SeedScore, ...]:
    """The measured seeds of one cell, in ascending order."""
    means = {record.seed: record.headline.mean for record in own if record.status == "scored"}
    return tuple(SeedScore(seed, mean) for seed, mean in sorted(means.items()) if mean is not None)


def spread(seeds: Sequence[SeedScore]) -> SeedSpread:
    means = np.array([one.mean for one in seeds])
    if not len(means):
        return SeedSpread(None, None, 0)
    return SeedSpread(float(means.mean()), float(means.std(ddof=1)) if len(means) > 1 else None, len(means))
