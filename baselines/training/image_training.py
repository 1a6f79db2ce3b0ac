"""Training of virtual-staining networks: batches of pairs, the loop, mixed precision, checkpoints and exact resume."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from baselines.staining.parts.pairs import Batch, Deck, Pairs, Plan
from baselines.training.checkpoints import found, keep, random_state, restore_random_state
from protocols.contract import RowArray
from protocols.errors import UserError
from protocols.seeds import derive_seed
from protocols.staining.contract import PatchInputs, PatchTraining

CHECKPOINT = "checkpoint.pt"


class Learner(ABC):
    """Networks with their losses. All that training changes is in ``parts``, ``optimisers`` and :meth:`memory`.

    Every draw comes from the generator (on the CPU) that is passed, so that a resumed run draws what it would have.
    """

    parts: dict[str, nn.Module]
    optimisers: dict[str, torch.optim.Optimizer]

    @abstractmethod
    def optimise(self, learning_rate: float) -> None:
        """Make the optimisers, once the parts are on their device."""

    @abstractmethod
    def step(self, batch: Batch, draws: torch.Generator) -> Tensor:
        """One update; the generator's loss, detached."""

    @abstractmethod
    def answer(self, he: Tensor, embedding: Tensor | None, noise: list[torch.Generator]) -> Tensor:
        """IHC ``(n, 3, h, w)`` in [-1, 1]; ``noise`` holds a generator on the CPU for each patch."""

    def prepare(self, pairs: Pairs, rows: RowArray) -> None:  # noqa: B027 (a hook)
        """Before the first step: what is estimated from the training patches and not learned."""

    def memory(self) -> dict[str, Tensor]:
        """Further state, as tensors."""
        return {}

    def remember(self, memory: dict[str, Tensor]) -> None:  # noqa: B027 (a hook)
        """Take back what :meth:`memory` gave."""


def mixed_precision(device: torch.device) -> AbstractContextManager[object]:
    """bfloat16 (which needs no loss scaling) on a GPU that has it; nothing elsewhere."""
    if device.type == "cuda" and torch.cuda.is_bf16_supported():
        return torch.autocast("cuda", dtype=torch.bfloat16)
    return nullcontext()


@contextmanager
def fast_answers(device: torch.device) -> Iterator[None]:
    """How a trained network answers: on a GPU in bfloat16 where the encoders and the training use it, and what stays in
    float32 may round its factors to TF32. It costs a third of a grey level of 256 (a test). Elsewhere: nothing."""
    if device.type != "cuda":
        yield
        return
    kept = torch.backends.cudnn.deterministic
    with (
        mixed_precision(device),
        torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=kept, allow_tf32=True),
    ):
        yield


def identity_of(name: str, data: PatchInputs, plan: Plan, learner: Learner) -> str:
    """What a checkpoint must have been made for; another run's is not taken."""
    patches = hashlib.sha256("\n".join(data.patch.tolist()).encode()).hexdigest()
    shapes = [(part, [tuple(p.shape) for p in net.parameters()]) for part, net in learner.parts.items()]
    network = hashlib.sha256(repr(shapes).encode()).hexdigest()
    settings = data.settings
    run = (name, data.marker, data.pixels, settings.profile, settings.seed, settings.device, plan, patches, network)
    return repr(run)


def train(
    learner: Learner, data: PatchTraining, plan: Plan, name: str, device: torch.device, *, embedded: bool = False
) -> int:
    """Fit the learner's parts in place; returns the step that a checkpoint let it start from (0: none).

    A run that was killed and resumes ends with the same bytes as one that was not. Raises :class:`UserError` on a
    checkpoint that cannot be read, and when the loss is no longer finite.
    """
    draws = torch.Generator().manual_seed(derive_seed(data.settings.seed, "image training", name, data.marker))
    pairs, deck = Pairs(data, embedded=embedded), Deck(len(data))
    for part in learner.parts.values():
        part.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    learner.optimise(plan.learning_rate)
    path = None if data.workspace is None else data.workspace / CHECKPOINT
    identity = identity_of(name, data, plan, learner)
    start = 0 if path is None else restore(path, identity, learner, deck, draws, device)
    if not start:
        learner.prepare(pairs, np.arange(len(data)))
    total = plan.total(len(data))
    for step in range(start, total):
        for optimiser in learner.optimisers.values():
            for group in optimiser.param_groups:
                group["lr"] = plan.rate(step, total)
        batch = pairs.batch(deck.deal(plan.batch, draws), plan, draws, device)
        with mixed_precision(device):
            loss = learner.step(batch, draws)
        last = step + 1 == total
        if last or (step + 1) % plan.save_every == 0:
            _refuse_divergence(loss, name, step)
            if path is not None:
                save(path, identity, step + 1, learner, deck, draws, device)
    return start


def _refuse_divergence(loss: Tensor, name: str, step: int) -> None:
    if not bool(torch.isfinite(loss)):
        raise UserError(
            f"training diverged at step {step + 1}", where=name, expected="a finite loss",
            remedy="lower the learning rate",
        )  # fmt: skip


def save(
    path: Path, identity: str, step: int, learner: Learner, deck: Deck, draws: torch.Generator, device: torch.device
) -> None:
    """All state that the rest of the training depends on, written whole: tensors, numbers and strings alone."""
    state = {
        "identity": identity,
        "step": step,
        "parts": {name: part.state_dict() for name, part in learner.parts.items()},
        "optimisers": {name: optimiser.state_dict() for name, optimiser in learner.optimisers.items()},
        "memory": learner.memory(),
        "order": deck.order,
        "place": deck.place,
        "draws": draws.get_state(),
        **random_state(device),
    }
    keep(path, state)


def restore(
    path: Path, identity: str, learner: Learner, deck: Deck, draws: torch.Generator, device: torch.device
) -> int:
    """Take up a checkpoint of the same run; the step it was left at, or 0 if there is none or it is another run's."""
    state = found(path, device, identity)
    if state is None:
        return 0
    for name, part in learner.parts.items():
        part.load_state_dict(state["parts"][name])
    for name, optimiser in learner.optimisers.items():
        optimiser.load_state_dict(state["optimisers"][name])
    learner.remember(state["memory"])
    deck.order, deck.place = state["order"].cpu(), int(state["place"])
    draws.set_state(state["draws"].cpu())
    restore_random_state(state, device)
    return int(state["step"])
