"""Long fits of three kinds at their published schedules, brought down to seconds; run as a process, one kills itself.

    python -m tests.baselines.long_fits reggan somewhere

fits in that folder and is killed by the system (SIGKILL) in the middle of a step.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from baselines.staining.improved_diffusion import ImprovedDiffusion
from baselines.staining.reggan import RegGAN
from baselines.survival.mcat_resnet50 import McatResNet50
from baselines.training import survival_checkpoint, survival_training
from baselines.training.gan_learners import RegganLearner
from baselines.training.image_learners import DiffusionLearner
from protocols.contract import Settings
from protocols.survival.toy import toy_survival
from tests.baselines.image_toy import toy

PATCHES = replace(toy(6, pixels=32), settings=Settings(profile="full", threads=1))
PATIENTS = toy_survival(60, settings=Settings(profile="full", threads=1, most_steps=10))


def small(base: type[Any]) -> type[Any]:
    """A generator whose published plan ends after nine steps, with the mini networks."""

    class Small(base):  # type: ignore[misc]
        def plan(self, profile: str) -> Any:
            return replace(super().plan(profile), steps=9, save_every=4)

        def learner(self, profile: str, embedding: int) -> Any:
            return super().learner("mini", embedding)

    return Small


MODELS: dict[str, tuple[type[Any], Any]] = {
    "reggan": (small(RegGAN), PATCHES),
    "diffusion": (small(ImprovedDiffusion), PATCHES),
    "mcat": (McatResNet50, PATIENTS),
}


def fitted(name: str, folder: Path | None) -> Any:
    cls, data = MODELS[name]
    model = cls()
    model.fit(replace(data, workspace=folder))
    return model


def bytes_of(model: Any) -> bytes:
    """Every number of the trained networks."""
    parts = model._learner.parts if hasattr(model, "_learner") else {"network": model._network}
    states = [value for name in sorted(parts) for value in parts[name].state_dict().values()]
    return b"".join(value.numpy().tobytes() for value in states)


def dies(step: Callable[..., Any], at: int) -> Callable[..., Any]:
    """``step``, whose call number ``at`` ends the process as the system would."""
    taken = []

    def counted(*arguments: Any) -> Any:
        taken.append(1)
        if len(taken) == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(*arguments)

    return counted


if __name__ == "__main__":
    torch.set_num_threads(1)
    survival_checkpoint.SAVE_SECONDS = 0.0
    for learner in (RegganLearner, DiffusionLearner):
        learner.step = dies(learner.step, 7)  # type: ignore[method-assign]
    survival_training.step = dies(survival_training.step, 6)
    fitted(sys.argv[1], Path(sys.argv[2]))
