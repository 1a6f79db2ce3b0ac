"""Numbers of the expression protocols' splits."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class GeneChoice:
    """Which genes are predicted: every measured one, or the ``top_mean`` by mean expression on training rows."""

    top_mean: int | None = None


@dataclass(frozen=True)
class SplitSettings:
    """Numbers that a split depends on; they are part of the split's hash."""

    crop_um: float
    seed: int = 0
    blocks: int = 4
    genes: GeneChoice = GeneChoice()
    max_train_units: int | None = None
    min_units: int = 40
