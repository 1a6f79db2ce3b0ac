"""Numbers of the training of HEX's head."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class HexRecipe:
    """Numbers of the head's training; ``full`` are the published ones where one exists (facts: released code).

    ``max_steps`` caps the number of optimiser steps (None: epochs decide). ``smoothing_from`` is the first epoch in
    which features are recalibrated, ``smoothing_until`` the first in which no longer.
    """

    hidden: tuple[int, int] = (256, 128)
    dropout: float = 0.5
    epochs: int = 120
    max_steps: int | None = None
    batch: int = 384
    learning_rate: float = 1e-5
    loss_learning_rate: float = 1e-5
    decay: float = 0.95
    bins: int = 50
    kernel: int = 9
    sigma: float = 2.0
    smoothing_from: int = 10
    smoothing_until: int = 50
