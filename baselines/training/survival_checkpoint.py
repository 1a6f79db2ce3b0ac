"""Checkpoints of a survival training: all that its further course depends on, and where a killed one goes on."""

from __future__ import annotations

import copy
import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from baselines.training.checkpoints import found, keep, random_state, restore_random_state

CHECKPOINT = "survival_checkpoint.pt"
SAVE_SECONDS = 30.0
"""Least time between two checkpoints: what a kill may cost. When one is written changes no result."""


@dataclass
class State:
    """A training between two epochs: ``taken`` epochs, of which the last ``since`` were no better than ``best``."""

    network: nn.Module
    optimiser: torch.optim.Optimizer
    rng: np.random.Generator
    device: torch.device
    taken: int = 0
    since: int = 0
    best_loss: float = float("inf")
    best: dict[str, Tensor] | None = None

    def judge(self, loss: float) -> None:
        """Note an epoch's loss on held-out patients; the best state is kept."""
        if loss < self.best_loss:
            self.best, self.best_loss, self.since = copy.deepcopy(self.network.state_dict()), loss, 0
        else:
            self.since += 1


class Checkpoint:
    """One training's place in a folder that survives a kill; ``identity`` says what it must have been made for."""

    def __init__(self, folder: Path, identity: str) -> None:
        self.path, self.identity = folder / CHECKPOINT, identity
        self._saved = time.monotonic()

    def save(self, state: State) -> None:
        """Written whole, if the last one is old enough: tensors, numbers and strings alone."""
        if time.monotonic() - self._saved < SAVE_SECONDS:
            return
        kept = {
            "identity": self.identity,
            "network": state.network.state_dict(),
            "optimiser": state.optimiser.state_dict(),
            "rng": json.dumps(state.rng.bit_generator.state),
            "taken": state.taken,
            "since": state.since,
            "best_loss": state.best_loss,
            "best": state.best,
            **random_state(state.device),
        }
        keep(self.path, kept)
        self._saved = time.monotonic()

    def restore(self, state: State) -> None:
        """Take up what was left here for the same training; nothing happens if there is none."""
        kept = found(self.path, state.device, self.identity)
        if kept is None:
            return
        state.network.load_state_dict(kept["network"])
        state.optimiser.load_state_dict(kept["optimiser"])
        state.rng.bit_generator.state = json.loads(kept["rng"])
        state.taken, state.since = int(kept["taken"]), int(kept["since"])
        state.best_loss, state.best = float(kept["best_loss"]), kept["best"]
        restore_random_state(kept, state.device)
