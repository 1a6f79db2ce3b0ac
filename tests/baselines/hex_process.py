"""``python -m tests.baselines.hex_process FOLDER``: fit HEX as published on the toy there, and be killed in a step."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from baselines.expression import hex_finetuned
from baselines.training import hex_training
from protocols.contract import Settings
from protocols.expression.toy import inputs_of, toy_training
from tests.baselines.long_fits import dies

STEPS, SAVED_AT, KILLED_AT = 12, 8, 10
"""Three updates an epoch: the checkpoint is taken in the third epoch, the first with smoothing."""


def fitted(folder: Path | None, wrap: Callable[[Any], Any] = lambda step: step) -> tuple[np.ndarray, int]:
    """The answers, and how many updates this process took."""
    settings = Settings(threads=1)
    recipe = replace(hex_finetuned.recipe_of(settings), batch=16, max_steps=STEPS, save_every=4, smoothing_until=4)
    data = replace(toy_training(n=48, genes=4, settings=settings), workspace=folder)
    model, taken, real = hex_finetuned.HexFinetuned(), [0], wrap(hex_training.update)

    def counted(*given: Any) -> None:
        taken[0] += 1
        real(*given)

    with (
        patch.object(hex_finetuned, "recipe_of", lambda _: recipe),
        patch.object(hex_training, "update", counted),
    ):
        model.fit(data)
    return model.predict(inputs_of(data)), taken[0]


if __name__ == "__main__":
    fitted(Path(sys.argv[1]), lambda step: dies(step, KILLED_AT))
