"""The learning gate: does a model, trained by its own schedule, recover a signal that its architecture can express?

A training is watched from outside, whatever loop it runs in: through PyTorch's hooks on optimisers and on the backward
pass. So nothing of it has to be told, and nothing can be told wrongly.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from protocols.contract import Card, Settings
from protocols.errors import UserError
from protocols.learning import USUAL, Learned, Plant
from protocols.registry import load_task
from suite.config import Config


@dataclass
class Watched:
    """What was seen of the trainings within a block. ``updates``: most steps that one optimiser took; ``losses``: of
    every backward pass, in order."""

    losses: list[float] = field(default_factory=list)
    _steps: dict[int, int] = field(default_factory=dict)
    _before: dict[int, tuple[Any, float]] = field(default_factory=dict)
    _moved: set[int] = field(default_factory=set)
    _kept: list[Any] = field(default_factory=list)

    @property
    def updates(self) -> int:
        return max(self._steps.values(), default=0)

    @property
    def still(self) -> tuple[int, ...]:
        """Sizes of tensors that an optimiser was given and that never changed."""
        return tuple(one.numel() for key, (one, _) in self._before.items() if key not in self._moved)

    @property
    def tensors(self) -> int:
        return len(self._before)

    @property
    def parameters(self) -> int:
        return sum(one.numel() for one, _ in self._before.values())

    def before_step(self, optimiser: Any, _args: Any, _options: Any) -> None:
        if id(optimiser) not in self._steps:
            self._kept.append(optimiser)  # else its id might be another's one day
            self._steps[id(optimiser)] = 0
        for one in _parameters(optimiser):
            if id(one) not in self._before:
                self._before[id(one)] = one, _told(one)

    def after_step(self, optimiser: Any, _args: Any, _options: Any) -> None:
        self._steps[id(optimiser)] += 1
        for one in _parameters(optimiser):
            if id(one) not in self._moved and _told(one) != self._before[id(one)][1]:
                self._moved.add(id(one))


@contextmanager
def watched() -> Iterator[Watched]:
    """Watch every training in the block."""
    import torch
    from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

    seen, backward = Watched(), torch.autograd.backward

    def told(tensors: Any, *arguments: Any, **options: Any) -> None:
        first = tensors if isinstance(tensors, torch.Tensor) else next(iter(tensors))
        seen.losses.append(float(first.detach()))
        backward(tensors, *arguments, **options)

    hooks = [
        register_optimizer_step_pre_hook(seen.before_step),
        register_optimizer_step_post_hook(seen.after_step),
    ]
    torch.autograd.backward = told
    try:
        yield seen
    finally:
        torch.autograd.backward = backward
        for hook in hooks:
            hook.remove()


@dataclass(frozen=True)
class Gate:
    """One model's verdict. ``problem`` is empty where it recovered the signal and every tensor moved. ``still`` of
    ``tensors`` did not; they hold ``parameters`` together."""

    model: str
    task: str
    learned: Learned | None
    updates: int
    still: int
    tensors: int
    parameters: int
    losses: tuple[float, ...]
    problem: str


def gate(model_class: type[Any], settings: Settings, plant: Plant = USUAL) -> Gate:
    """Train a model on its task's planted signal and judge it. What it raises is a failure like any other."""
    card: Card = model_class.card
    learning = load_task(card.task).learning
    if learning is None:
        raise UserError(
            f"the task {card.task} plants no signal", where=card.name, expected="Task.learning", remedy="write it"
        )
    found: Learned | None = None
    problem = ""
    with watched() as seen:
        try:
            found = learning(model_class, settings, plant)
        except (UserError, ArithmeticError, ValueError, RuntimeError) as error:
            problem = f"{type(error).__name__}: {str(error).splitlines()[0]}"
    if found is not None:
        problem = _problem(found, seen)
    return Gate(
        card.name, card.task, found, seen.updates, len(seen.still), seen.tensors, seen.parameters,
        tuple(seen.losses), problem,
    )  # fmt: skip


def gate_of(name: str, config: Config | None) -> Gate:
    """The gate of a listed or built-in model, or of ``file.py:Class``."""
    from baselines.registry import UNNAMED, load_model_class

    adapters = dict(config.adapters) if config else {}
    if ":" in name or "@" in name:
        adapters[UNNAMED], name = name, UNNAMED
    return gate(load_model_class(name, adapters, Path.cwd()), Settings(encoders=config.encoders if config else {}))


def told(found: Gate) -> str:
    """A gate in one line."""
    if found.learned is None:
        return f"learning: {found.problem}"
    one = found.learned
    numbers = f"{one.measure}: {one.recovered:.3f}, at least {one.threshold:.3f}, at best {one.best:.3f}"
    return f"learning ({one.signal}): {numbers}, {found.updates} updates" + f"; {found.problem}" * bool(found.problem)


def _problem(found: Learned, seen: Watched) -> str:
    problems = []
    if not math.isfinite(found.share) or found.share < found.least:
        problems.append(f"recovers {found.share:.2f} of the signal, and {found.least:g} is the least")
    if found.loss_must_fall and not falls(seen.losses):
        problems.append(f"its loss does not fall ({seen.losses[0]:.3g} to {seen.losses[-1]:.3g})")
    if seen.still:
        problems.append(f"{len(seen.still)} of {seen.tensors} tensors never moved")
    return "; ".join(problems)


FALL = 0.05
"""Share of its beginning by which a loss must have fallen in the end."""


def falls(losses: Sequence[float]) -> bool:
    """Whether the mean of the last fifth of a training's losses lies clearly below that of the first fifth."""
    part = max(len(losses) // 5, 1)
    first, last = losses[:part], losses[-part:]
    return not losses or sum(last) / part < (1 - FALL) * sum(first) / part


def models_of_their_own(task: str | None = None) -> dict[str, tuple[str, ...]]:
    """Built-in models (no controls) by their cards: of several whose classes differ by the card alone, the first, and
    the others that it stands for. Which encoder a card names makes no difference to made-up features."""
    from baselines.registry import built_in, load_model_class
    from suite.engine.checking import one_code

    found: dict[tuple[object, ...], list[str]] = {}
    for name in built_in():
        model_class = load_model_class(name, {}, Path())
        card: Card = model_class.card
        if card.kind == "model" and task in (None, card.task):
            found.setdefault(one_code(model_class), []).append(name)
    return {first: tuple(others) for first, *others in found.values()}


def _parameters(optimiser: Any) -> Iterator[Any]:
    return (one for group in optimiser.param_groups for one in group["params"])


def _told(parameter: Any) -> float:
    """One number that any change of a tensor changes (but for a coincidence); no copy of a large network is kept."""
    flat = parameter.detach().reshape(-1).double()
    return float((flat * (1.0 + flat.square())).sum())
