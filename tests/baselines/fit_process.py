"""``python -m tests.baselines.fit_process MODEL WORKSPACE KILL_AT``: fit a model on the toy and save its answer.

With ``KILL_AT`` steps of training taken, the process is killed (SIGKILL: nothing can be tidied up); 0: never.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from baselines.registry import load_model_class
from baselines.training import finetuning
from past_model import pretraining
from protocols.contract import Settings
from protocols.expression.toy import inputs_of, toy_training

ANSWER = "answer.npy"


def fitted(name: str, workspace: Path | None) -> np.ndarray:
    """The answers after each of two folds; checkpoints every 4 steps, of PAST after each of its 4 epochs."""
    data = replace(toy_training(n=72, genes=6, settings=Settings(threads=1)), workspace=workspace)
    model: Any = load_model_class(name, {}, Path())()
    model.pretrain(data)
    answers = []
    for rows in (np.arange(0, 72, 2), np.arange(1, 72, 2)):  # two folds of one group share their job's workspace
        model.fit(_taken(data, rows))
        answers.append(model.predict(inputs_of(data)))
    return np.stack(answers)


def shortened() -> None:
    """The default numbers have one epoch, or a checkpoint at the end alone: here a kill falls between two."""
    from past_model.settings import MINI, PROFILES

    PROFILES["mini"] = replace(MINI, epochs=4)
    recipe = finetuning.FineTuning.__init__

    def brief(self: Any, *args: Any, **given: Any) -> None:
        steps = {"pretrain_max_steps": 8, "fit_max_steps": 6, "fit_epochs": 4}
        recipe(self, *args, **given | steps | {"save_every": 4, "batch": 12})

    finetuning.FineTuning.__init__ = brief  # type: ignore[method-assign]


def _taken(data: Any, rows: np.ndarray) -> Any:
    parts = ("rows", "slide", "patient", "cancer", "xy_um", "targets", "count_matrix", "measured")
    return replace(data, **{name: getattr(data, name)[rows] for name in parts})


def kill_after(steps: int) -> None:
    """SIGKILL in the step after so many, counted over all trainings of the process."""
    taken = [0]

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any, **given: Any) -> Any:
            taken[0] += 1
            if taken[0] > steps:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*args, **given)

        return step

    finetuning.squared_error = counted(finetuning.squared_error)
    pretraining._step = counted(pretraining._step)


if __name__ == "__main__":
    shortened()
    if int(sys.argv[3]):
        kill_after(int(sys.argv[3]))
    place = Path(sys.argv[2])
    np.save(place / ANSWER, fitted(sys.argv[1], place))
