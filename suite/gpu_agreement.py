"""Whether a model answers on a GPU what it answers on a CPU: one fit, asked twice, on its task's made-up data.

The weights are the same, so only the forward pass differs: kernels, the order of sums, and bfloat16 where a network
runs in it on a GPU. (Two trainings would not do: Adam's first steps are signs of gradients, which a last digit turns.)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.contract import Settings
from protocols.registry import load_task

EXACT, FLOAT32, BFLOAT16 = "no network", "float32", "bfloat16"
TOLERANCE = {EXACT: 0.0, FLOAT32: 1e-4, BFLOAT16: 5e-2}
"""Largest difference over the largest absolute answer, by the precision of the forward pass. bfloat16 keeps 8 bits: a
value is off by up to 4e-3, what is computed of many by more; with a CPU's bfloat16 it was up to 3e-2 (PAST's ridge)."""
STEPS = 2
ANSWERS = 1
"""The contract test of every task that fits and predicts; the one before it reads the card."""


@dataclass(frozen=True)
class Agreement:
    """``difference`` is relative; ``kind`` a key of :data:`TOLERANCE`."""

    kind: str
    difference: float

    @property
    def holds(self) -> bool:
        return self.difference <= TOLERANCE[self.kind]


def agreement(model_class: type[Any], name: str, device: str = "cuda") -> Agreement:
    """Fit the model on the CPU for a step or two, then ask it there and on ``device``."""
    differences: list[float] = []
    kinds: set[str] = set()

    class AskedTwice(model_class):  # type: ignore[misc]
        def predict(self, test: Any, *more: Any) -> Any:
            here = super().predict(test, *more)
            with _precision(kinds):
                there = super().predict(replace(test, settings=replace(test.settings, device=device)), *more)
            differences.append(_difference(_numbers(here), _numbers(there)))
            return here

    task = load_task(model_class.card.task)
    task.checks(AskedTwice, name, Settings(threads=1, most_steps=STEPS))[ANSWERS][1]()
    kind = next((one for one in (BFLOAT16, FLOAT32) if one in kinds), EXACT)
    return Agreement(kind, max(differences))


def _numbers(answer: Any) -> NDArray[np.float64]:
    """Predicted values, risks, or images on the scale of 0 to 1."""
    values = np.asarray(getattr(answer, "risk", answer))
    return values.astype(np.float64) / (255.0 if values.dtype == np.uint8 else 1.0)


def _difference(here: NDArray[np.float64], there: NDArray[np.float64]) -> float:
    return float(np.abs(here - there).max() / max(np.abs(here).max(), 1e-12))


@contextmanager
def _precision(seen: set[str]) -> Iterator[None]:
    """Fill ``seen`` with the precision of every layer that runs in the block."""
    import torch
    from torch.nn.modules.module import register_module_forward_pre_hook

    def look(_module: Any, _inputs: Any) -> None:
        bfloat16 = any(torch.is_autocast_enabled(one) for one in ("cuda", "cpu"))
        seen.add(BFLOAT16 if bfloat16 else FLOAT32)

    hook = register_module_forward_pre_hook(look)
    try:
        yield
    finally:
        hook.remove()
