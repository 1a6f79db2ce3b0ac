"""Every model of the registry on its task's made-up data, and every encoder of the table, on the pretend GPU."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import partial
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np

from baselines.registry import built_in, load_model_class
from protocols.contract import Settings
from protocols.registry import load_task
from suite.engine.checking import one_code

STEPS = 2
FEWEST = 6
ANSWERS = 1
"""The check of every task that fits and predicts; the one before it reads the card."""


def settings(*, deterministic: bool = False) -> Settings:
    return Settings(threads=1, device="cuda", most_steps=STEPS, deterministic=deterministic)


def small_toys(name: str) -> None:
    """The contract tests of a task make toys a third as large: here they need not tell one model from another."""
    module = import_module(load_task(name).checks.module)
    for key, toy in list(vars(module).items()):
        if not key.startswith("toy_") or isinstance(toy, partial):
            continue
        count = next(iter(signature(toy).parameters.values()))
        if isinstance(count.default, int) and count.kind is count.POSITIONAL_OR_KEYWORD:
            setattr(module, key, partial(toy, max(FEWEST, count.default // 3)))


def groups() -> dict[str, list[str]]:
    """Models by the first of those that are one code, as the stage of contract tests holds them apart."""
    found: dict[object, list[str]] = {}
    for name in built_in():
        found.setdefault(one_code(load_model_class(name, {}, Path())), []).append(name)
    return {names[0]: names for names in found.values()}


def rehearse(name: str, *, deterministic: bool = False) -> None:
    """Fit a model on its task's toy and ask it, as the contract tests do."""
    model_class: Any = load_model_class(name, {}, Path())
    task = load_task(model_class.card.task)
    _, answers = task.checks(model_class, name, settings(deterministic=deterministic))[ANSWERS]
    answers()


def embed_all() -> Iterator[str]:
    """Embed eight crops with each encoder."""
    from baselines.encoders.embedding import embed
    from baselines.encoders.table import ENCODERS
    from protocols.expression.toy import ArrayCrops

    crops = np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        for name in ENCODERS:
            embed(name, ArrayCrops(crops), np.arange(8), settings(), Path(folder) / f"{name}.npy")
            yield name
