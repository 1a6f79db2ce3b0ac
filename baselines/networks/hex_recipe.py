"""Numbers of the training of HEX's head."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class HexRecipe:
    """Numbers of the head's training; as they stand here, those of ``full``: the published ones where one exists.

    The learning rates are ours. HEX trains at 1e-5 from 754,836 tiles, 1,966 updates an epoch, and tunes four layers of
    its encoder with them; a head that starts at random on frozen features of a few thousand cells takes six updates an
    epoch, whose rate falls by 5 % each time: at 1e-5 it would end where it began (:data:`PUBLISHED`).

    ``max_steps`` caps the number of optimiser steps (None: epochs decide). ``smoothing_from`` is the first epoch in
    which features are recalibrated, ``smoothing_until`` the first in which no longer.
    """

    hidden: tuple[int, int] = (256, 128)
    dropout: float = 0.5
    epochs: int = 120
    max_steps: int | None = None
    batch: int = 384
    learning_rate: float = 1e-3
    loss_learning_rate: float = 1e-3
    decay: float = 0.95
    bins: int = 50
    kernel: int = 9
    sigma: float = 2.0
    smoothing_from: int = 10
    smoothing_until: int = 50

    def steps_of_epoch(self, rows: int) -> int:
        return -(-rows // self.batch)


PUBLISHED = HexRecipe(learning_rate=1e-5, loss_learning_rate=1e-5)
"""Every number as released, for whoever tunes the encoder with the head; no model of the suite uses it."""
RULE = f"{PUBLISHED.epochs} epochs, rate x {PUBLISHED.decay} after each"
