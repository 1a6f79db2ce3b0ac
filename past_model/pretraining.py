"""Contrastive pre-training on pairs of crop and cell: AdamW, linear warm-up, cosine decay."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from past_model.image_encoder import random_dihedral
from past_model.loss import contrastive_loss
from past_model.model import CellBatch, Past
from past_model.neighbours import local_graphs
from past_model.settings import PastSettings, Variant
from past_model.state_file import CheckpointError
from past_model.tokens import Tokens, cell_sequence

CropReader = Callable[[NDArray[np.int64]], Tensor]
Progress = Callable[[int, int, float], None]
"""Called after each step with (steps done, steps in all, loss)."""


@dataclass(frozen=True)
class Pairs:
    """What is learnt from. ``centres`` ``(pairs,)`` and ``neighbours`` ``(pairs, k)`` index the rows of ``tokens``
    ``(cells, context_length)`` and ``xy_um`` ``(cells, 2)``; ``read_crops`` takes pair
    numbers and gives crops at the encoder's size, uint8 ``(n, p, p, 3)`` on the CPU."""

    read_crops: CropReader
    tokens: Tokens
    xy_um: NDArray[np.float32]
    centres: NDArray[np.int64]
    neighbours: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.centres)


def learning_rate(step: float, steps_per_epoch: int, settings: PastSettings) -> float:
    """Rate at ``step``: linear from 0 over the warm-up epochs, then half a cosine down to the final rate."""
    epoch = step / steps_per_epoch
    if epoch < settings.warmup_epochs:
        return settings.learning_rate * epoch / settings.warmup_epochs
    through = (epoch - settings.warmup_epochs) / max(settings.epochs - settings.warmup_epochs, 1e-9)
    span = settings.learning_rate - settings.final_learning_rate
    return settings.final_learning_rate + span * 0.5 * (1.0 + math.cos(math.pi * min(through, 1.0)))


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's generators (weights, dropout) inside the block and leave them as they were found."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def build(settings: PastSettings, variant: Variant, table_rows: int, seed: int) -> Past:
    """A new model whose random weights depend on ``seed`` only."""
    with seeded(seed, torch.device("cpu")):
        return Past(settings, variant, table_rows)


def batch_of(pairs: Pairs, rows: NDArray[np.int64], settings: PastSettings) -> CellBatch:
    """The cell side of the pairs ``rows``."""
    graphs = local_graphs(pairs.centres[rows], pairs.neighbours[rows], pairs.xy_um, settings.radius_um)
    sequence = cell_sequence(pairs.tokens[pairs.centres[rows]], settings.context_length)
    return CellBatch(torch.from_numpy(sequence), torch.from_numpy(pairs.tokens[graphs.cells.numpy()]), graphs)


def pretrain(
    model: Past,
    pairs: Pairs,
    settings: PastSettings,
    *,
    generator: torch.Generator,
    device: torch.device | str = "cpu",
    image_is_pretrained: bool = False,
    progress: Progress | None = None,
    checkpoint: Path | None = None,
    most_steps: int = 0,
) -> list[float]:
    """Train ``model`` in place and return every step's loss.

    Batches, augmentation and dropout are drawn from ``generator`` (on the CPU). Negatives are the other, uniformly
    random pairs of a batch, as in the released code. CUDA runs in bfloat16 autocast. With ``checkpoint``, the state
    is saved after each epoch and a run that finds it goes on from there to the same result (exact on the CPU).
    ``most_steps``: updates after which training ends (0: after ``settings.epochs``); the rates stay as planned.
    Raises ValueError with fewer than two pairs, ArithmeticError when the loss is not finite, and
    :class:`past_model.state_file.CheckpointError` on a checkpoint that cannot be read.
    """
    if len(pairs) < 2:
        raise ValueError(f"{len(pairs)} pairs; a contrastive loss needs at least 2")
    device = torch.device(device)
    model.to(device).train()
    optimiser = _optimiser(model, settings, model.variant.image_factor and image_is_pretrained)
    batch = min(settings.batch_size, len(pairs))
    per_epoch = len(pairs) // batch
    losses: list[float] = []
    planned = per_epoch * settings.epochs
    steps = min(planned, most_steps) if most_steps else planned
    done = _resume(checkpoint, model, optimiser, generator, losses)
    for epoch in range(done, -(-steps // per_epoch)):
        order = torch.randperm(len(pairs), generator=generator).numpy()[: per_epoch * batch]
        dropout_seed = int(torch.randint(0, 2**62, (1,), generator=generator))
        with seeded(dropout_seed, device):
            for i, rows in enumerate(order.reshape(per_epoch, batch)[: steps - epoch * per_epoch]):
                step = epoch * per_epoch + i
                _set_rate(optimiser, learning_rate(step + 1, per_epoch, settings))
                loss = _step(model, pairs, rows, settings, optimiser, generator)
                losses.append(loss)
                if progress is not None:
                    progress(step + 1, steps, loss)
        _save(checkpoint, epoch + 1, model, optimiser, generator, losses)
    model.eval()
    return losses


def _step(
    model: Past,
    pairs: Pairs,
    rows: NDArray[np.int64],
    settings: PastSettings,
    optimiser: torch.optim.Optimizer,
    generator: torch.Generator,
) -> float:
    device = model.temperature.device
    crops = pairs.read_crops(rows)
    if model.variant.augment:
        crops = random_dihedral(crops, generator)
    cells = batch_of(pairs, rows, settings)
    cells = CellBatch(cells.sequence.to(device), cells.node_tokens.to(device), cells.graphs.to(device))
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"):
        image, cell = model(crops.to(device), cells)
    loss: Tensor = contrastive_loss(image.float(), cell.float(), model.temperature, model.variant)
    if not math.isfinite(value := loss.item()):
        raise ArithmeticError(f"the contrastive loss became {value}; a lower learning rate may help")
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()
    return value


def _optimiser(model: Past, settings: PastSettings, image_factor: bool) -> torch.optim.AdamW:
    image = list(model.image_encoder.parameters())
    of_image = {id(parameter) for parameter in image}
    rest = [parameter for parameter in model.parameters() if id(parameter) not in of_image]
    groups = [
        {"params": image, "factor": settings.pretrained_image_factor if image_factor else 1.0},
        {"params": rest, "factor": 1.0},
    ]
    betas = (settings.beta1, settings.beta2)
    return torch.optim.AdamW(
        groups, lr=settings.learning_rate, betas=betas, weight_decay=settings.weight_decay, fused=True
    )


def _set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = rate * group["factor"]


def _save(
    path: Path | None,
    epochs: int,
    model: Past,
    optimiser: torch.optim.Optimizer,
    generator: torch.Generator,
    losses: list[float],
) -> None:
    if path is None:
        return
    state: dict[str, Any] = {
        "epochs": epochs,
        "model": model.state_dict(),
        "optimiser": optimiser.state_dict(),
        "generator": generator.get_state(),
        "losses": losses,
    }
    part = path.with_name(path.name + ".part")
    torch.save(state, part)
    part.replace(path)  # whole or not at all


def _resume(
    path: Path | None, model: Past, optimiser: torch.optim.Optimizer, generator: torch.Generator, losses: list[float]
) -> int:
    if path is None or not path.exists():
        return 0
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # zip, pickle and type errors: all say that this is no checkpoint of ours
        raise CheckpointError(f"cannot be read ({type(error).__name__})") from error
    model.load_state_dict(state["model"])
    optimiser.load_state_dict(state["optimiser"])
    generator.set_state(state["generator"])
    losses.extend(state["losses"])
    return int(state["epochs"])
