"""The learning gate: by its mini schedule each model recovers a planted signal; what cannot learn is caught.

By default one model a training loop, and three defects planted into each of the quick ones; ``pytest -m learning``
takes every model and writes the table of docs/learning.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from baselines.registry import load_model_class
from protocols.contract import Settings
from protocols.learning import USUAL, Learned, Plant
from suite.engine.learning import Gate, falls, gate, gate_of, models_of_their_own, told, watched
from tests.suite.learning_table import write_table

LOOPS = {
    "he2rna": USUAL,
    "deep_sets": USUAL,
    "hex": Plant(units=600),
    "past_own_crop": USUAL,
    "st_net": Plant(units=400),
    "ihc_unet": Plant(units=4),
    "pix2pix": Plant(units=4),
}
"""One model a training loop, with as many units as it needs and no more."""
QUICK = tuple(name for name in LOOPS if name != "pix2pix")
"""Those that take seconds: pix2pix shares the loop of ihc_unet, and its losses are asked for by ``-m learning``."""
_COLLAPSE = (
    "from a random start its own targets collapse with the embeddings (docs/past.md); published: from UNI's weights"
)
EXPECTED: dict[str, str] = {
    "past": _COLLAPSE,
    "past_faithful": _COLLAPSE,
    "reggan_c": "a cycle without pairs: nothing says which colour belongs to which",
    "reggan_nc_as_released": "an adversarial loss alone: pairs are never compared, as its card says",
    "sequoia_released_weights": "answers by released weights alone, which nobody gave; nothing is trained",
}
"""Models that are known not to learn by their mini schedule, and why; one that does has no place here."""
SETTINGS = Settings(threads=1)
DEFECTS = ("a rate of 1e-9", "a frozen last layer", "a loss of the wrong sign")


def of(name: str, settings: Settings = SETTINGS, plant: Plant = USUAL) -> Gate:
    return gate(load_model_class(name, {}, Path()), settings, plant)


@pytest.mark.parametrize("name", QUICK)
def test_a_model_of_each_training_loop_recovers_the_signal(name: str) -> None:
    found = of(name, plant=LOOPS[name])
    assert found.updates > 0
    assert not found.problem


@pytest.mark.parametrize("name", LOOPS)
def test_no_training_loop_takes_more_steps_than_the_run_allows(name: str) -> None:
    settings = Settings(threads=1, most_steps=2)
    found = of(name, settings, Plant(units=4 if load_model_class(name, {}, Path()).card.task == "staining" else 80))
    assert found.learned is not None, found.problem
    assert found.updates == 2


@contextmanager
def planted(defect: str, outputs: int) -> Iterator[None]:
    """Spoil every optimiser's step. ``outputs``: how many numbers the last layer gives."""

    def spoil(optimiser: Any, _args: Any, _options: Any) -> None:
        for group in optimiser.param_groups:
            if defect == DEFECTS[0]:
                group["lr"] = 1e-9
            for one in group["params"]:
                if defect == DEFECTS[2] and one.grad is not None:
                    one.grad.neg_()
                if defect == DEFECTS[1] and one.shape[0] == outputs:
                    one.grad = None

    hook = register_optimizer_step_pre_hook(spoil)
    try:
        yield
    finally:
        hook.remove()


@pytest.mark.parametrize("defect", DEFECTS)
@pytest.mark.parametrize(("name", "outputs"), [("he2rna", 24), ("deep_sets", 4), ("hex", 12)])
def test_a_planted_defect_is_caught(name: str, outputs: int, defect: str) -> None:
    with planted(defect, outputs):
        found = of(name, plant=LOOPS[name])
    said = "tensors never moved" if defect == DEFECTS[1] else "of the signal"
    assert said in found.problem or "diverged" in found.problem


def test_what_is_seen_of_a_training() -> None:
    """By hand: two optimisers, three steps and one; one tensor is frozen, another is never used."""
    torch.manual_seed(0)
    network, other = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)), nn.Linear(5, 1)
    network[1].bias.requires_grad_(False)
    first, second = torch.optim.SGD(network.parameters(), 0.1), torch.optim.Adam(other.parameters())
    with watched() as seen:
        for _ in range(3):
            first.zero_grad()
            network(torch.ones(6, 3)).square().mean().backward()
            first.step()
        second.step()
    assert (seen.updates, seen.tensors, seen.parameters) == (3, 6, 12 + 4 + 8 + 2 + 5 + 1)
    assert sorted(seen.still) == [1, 2, 5]
    assert len(seen.losses) == 3
    assert seen.losses[0] > seen.losses[1] > seen.losses[2]
    first.zero_grad()
    network(torch.ones(6, 3)).square().mean().backward()
    assert len(seen.losses) == 3  # nothing is watched any more


def test_a_loss_falls_or_does_not() -> None:
    assert falls([3.5, 3.4, 3.0, 2.5, 2.0])
    assert not falls([3.466, 3.47, 3.465, 3.466, 3.464])  # ln 32: PAST's, where nothing tells pairs apart
    assert not falls([1.0, 0.5, 0.4, 0.7, 1.0])


def test_a_share_is_of_the_way_from_nothing_to_the_best() -> None:
    assert Learned("", "", recovered=0.7, nothing=0.5, best=0.9).share == pytest.approx(0.5)
    assert Learned("", "", recovered=0.4, nothing=0.5, best=0.9).share == pytest.approx(-0.25)


FOUND: list[Gate] = []


@pytest.mark.learning
@pytest.mark.parametrize("name", models_of_their_own())
def test_every_model_recovers_the_signal(name: str) -> None:
    found = of(name)
    FOUND.append(found)
    if name in EXPECTED:
        assert found.problem, f"{name} learns: take it off EXPECTED"
        pytest.xfail(f"{EXPECTED[name]}: {found.problem}")
    assert not found.problem


@pytest.mark.learning
def test_the_table_is_written_anew() -> None:
    assert {one.model for one in FOUND} == set(models_of_their_own()), "the table is of all models or of none"
    write_table(FOUND, EXPECTED, models_of_their_own())


TEMPLATE = """
from dataclasses import replace
from baselines.survival.deep_sets import DeepSets

class Mine(DeepSets):
    card = replace(DeepSets.card, name="mine", title="Mine", published=())
"""


def test_somebody_elses_model_is_gated_by_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text(TEMPLATE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    found = gate_of("mine.py:Mine", None)
    assert (found.model, found.problem) == ("mine", "")
    assert "updates" in told(found)
    assert "at least 0.5" in told(found)
