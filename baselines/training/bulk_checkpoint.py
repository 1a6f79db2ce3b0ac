"""Checkpoints of a training on slides: a run that was killed and goes on ends with the bytes of one that was not."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from baselines.training.bulk_stopping import StoppingRule
from baselines.training.checkpoints import found, keep, random_state, restore_random_state


@dataclass
class Progress:
    """How far a training is: epochs and updates done, and the weights kept so far with their epoch."""

    epoch: int = 0
    steps: int = 0
    saved: dict[str, Tensor] | None = None
    kept: int = -1


@dataclass(frozen=True)
class Moving:
    """All that an epoch changes beside :class:`Progress`. A rule's state is its attributes, numbers alone."""

    network: nn.Module
    optimiser: torch.optim.Optimizer
    rule: StoppingRule | None
    rng: np.random.Generator
    device: torch.device


@dataclass(frozen=True)
class Checkpoint:
    """A file that ``every`` so many epochs takes up all state; ``identity``: what it must have been made for."""

    path: Path
    identity: str
    every: int

    def save(self, progress: Progress, moving: Moving) -> None:
        """Written whole, if an epoch's turn has come: tensors, numbers and strings alone."""
        if progress.epoch % self.every:
            return
        state = {
            "identity": self.identity,
            "progress": vars(progress),
            "network": moving.network.state_dict(),
            "optimiser": moving.optimiser.state_dict(),
            "rule": None if moving.rule is None else vars(moving.rule),
            "rng": json.dumps(moving.rng.bit_generator.state),
            **random_state(moving.device),
        }
        keep(self.path, state)

    def restore(self, moving: Moving) -> Progress | None:
        """Take up the file if it is of the same training; None if there is none, or another's.

        Raises :class:`UserError` on one that cannot be read.
        """
        state = found(self.path, moving.device, self.identity)
        if state is None:
            return None
        moving.network.load_state_dict(state["network"])
        moving.optimiser.load_state_dict(state["optimiser"])
        if moving.rule is not None:
            vars(moving.rule).update(state["rule"])
        moving.rng.bit_generator.state = json.loads(state["rng"])
        restore_random_state(state, moving.device)
        return Progress(**state["progress"])


def identity_of(network: nn.Module, arrays: tuple[np.ndarray[Any, Any], ...], *told: object) -> str:
    """One hash of a training: the network before its first step, the arrays that it learns from, and what is told."""
    digest = hashlib.sha256(repr(told).encode())
    for name, part in network.state_dict().items():
        digest.update(f"{name} {tuple(part.shape)}".encode() + part.cpu().numpy().tobytes())
    for array in arrays:
        digest.update(f"{array.shape} {array.dtype}".encode() + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
