"""A step or two of a model's whole architecture at published sizes, on made-up units: does it run, how long, how much?

``python -m suite.engine.smoke model NAME [STEPS]`` (or ``encoder NAME``) answers in one line of JSON; a process of its
own has a peak of its own.
"""

from __future__ import annotations

import json
import math
import sys
import time
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from protocols.contract import Card, Settings
from protocols.learning import Plant
from protocols.registry import load_task
from suite.engine.learning import gate
from suite.workers import peak_memory_mib

EMBEDDED = 2
"""Crops that an encoder reads."""
ENCODER = "encoder"


@dataclass(frozen=True)
class Smoke:
    """``parameters`` that training may change; of an encoder, all. ``updates``: the most that one optimiser took."""

    name: str
    task: str
    parameters: int
    updates: int
    first_loss: float | None
    last_loss: float | None
    seconds: float
    peak_memory_mib: int
    problem: str


def smoke(name: str, steps: int = 2, profile: str = "full", threads: int = 2) -> Smoke:
    """Train, at most ``steps`` updates a training, and predict; nothing is asked of what comes out but to be finite.

    The frozen embedding behind a model is as wide as its encoder's, which is a row by itself.
    """
    import torch

    from baselines.encoders.entries import encoder_spec
    from baselines.registry import load_model_class

    torch.set_num_threads(threads)
    started = time.monotonic()
    model_class = load_model_class(name, {}, Path())
    card: Card = model_class.card
    settings = Settings(profile=profile, threads=threads, most_steps=steps)
    width = encoder_spec(card.encoder, settings).size(profile).dim if card.encoder else 0
    found = gate(model_class, settings, replace(_plant_of(card.task), width=width))
    losses = [one for one in found.losses if math.isfinite(one)]
    problem = found.problem if found.learned is None else ""
    if not problem and len(losses) < len(found.losses):
        problem = "a loss is not finite"
    if not problem and found.updates > steps:
        problem = f"{found.updates} updates, and {steps} are the most"
    first, last = (losses[0], losses[-1]) if losses else (None, None)
    seconds = time.monotonic() - started
    return Smoke(name, card.task, found.parameters, found.updates, first, last, seconds, peak_memory_mib(), problem)


def _plant_of(task: str) -> Plant:
    """How much a task's smoke test makes up: what stands beside its learning gate."""
    learning = load_task(task).learning
    plant: Plant = import_module(learning.module).SMOKE if learning is not None else Plant()
    return plant


def smoke_encoder(name: str, profile: str = "full", threads: int = 2) -> Smoke:
    """Build an encoder at random weights and read a few crops."""
    from tempfile import TemporaryDirectory

    import numpy as np
    import torch

    from baselines.encoders.embedding import embed
    from baselines.encoders.entries import encoder_spec
    from protocols.images.source import ArrayCrops

    torch.set_num_threads(threads)
    started = time.monotonic()
    settings = Settings(profile=profile, threads=threads)
    crops: Any = np.random.default_rng(0).integers(0, 255, (EMBEDDED, 224, 224, 3), dtype=np.uint8)
    with TemporaryDirectory() as folder:  # what is not finite or incomplete is refused
        out, rows = Path(folder) / "embedding.npy", np.arange(EMBEDDED, dtype=np.int64)
        embed(name, ArrayCrops(crops), rows, settings, out, whole_view=True)
    parameters = encoder_spec(name, settings).parameters
    return Smoke(name, ENCODER, parameters, 0, None, None, time.monotonic() - started, peak_memory_mib(), "")


if __name__ == "__main__":
    kind, named = sys.argv[1:3]
    steps = int(sys.argv[3]) if len(sys.argv) > 3 else 2
    print(json.dumps(asdict(smoke_encoder(named) if kind == ENCODER else smoke(named, steps))))
