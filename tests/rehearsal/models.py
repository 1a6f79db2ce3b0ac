"""Every model of the registry on its task's made-up data, and every encoder of the table, on the pretend GPU."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from baselines.registry import built_in, load_model_class
from protocols.contract import Settings
from protocols.registry import load_task
from suite.engine.checking import one_code

STEPS = 2
COMPARED = ("train_mean", "hex", "snn", "he2rna", "st_net", "past", "pix2pix", "improved_diffusion")
"""A model of each kind, for the comparison of two devices."""
ANSWERS = 1
"""The check of every task that fits and predicts; the one before it reads the card."""


def settings(*, deterministic: bool = False) -> Settings:
    return Settings(threads=1, device="cuda", most_steps=STEPS, deterministic=deterministic)


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


def agreement_of(name: str) -> dict[str, Any]:
    """What the GPU suite asks of the model, of the pretend GPU: there bfloat16 is real and the kernels are not."""
    from suite.gpu_agreement import agreement

    found = agreement(load_model_class(name, {}, Path()), name)
    return {"kind": found.kind, "difference": found.difference, "holds": found.holds}


def embed_all() -> Iterator[str]:
    """Embed eight crops with each encoder."""
    from baselines.encoders.embedding import embed
    from baselines.encoders.table import ENCODERS
    from protocols.images.source import ArrayCrops

    crops = np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        for name in ENCODERS:
            embed(name, ArrayCrops(crops), np.arange(8), settings(), Path(folder) / f"{name}.npy")
            yield name
