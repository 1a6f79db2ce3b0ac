"""Training of a survival network on bags: padded batches, early stopping on patients of the training fold."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from baselines.networks.survival_blocks import Batch, SurvivalSizes
from baselines.training.survival_checkpoint import Checkpoint, State
from baselines.training.survival_loss import nll
from protocols.contract import FloatArray

Rows = NDArray[np.int64]
HELD_OUT = 0.2
"""Share of the training patients on which early stopping looks."""
FEWEST_HELD_OUT = 4
BAG_CACHE_BYTES = 1 << 30


class BagCache:
    """Bags read when asked for; the most recently used are kept, up to ``limit`` bytes."""

    def __init__(self, read: Callable[[int], FloatArray], limit: int = BAG_CACHE_BYTES) -> None:
        self._read, self._limit, self._held = read, limit, 0
        self._bags: OrderedDict[int, FloatArray] = OrderedDict()

    def __call__(self, row: int) -> FloatArray:
        if row in self._bags:
            self._bags.move_to_end(row)
            return self._bags[row]
        bag = self._read(row)
        self._bags[row] = bag
        self._held += bag.nbytes
        while self._held > self._limit and len(self._bags) > 1:
            self._held -= self._bags.popitem(last=False)[1].nbytes
        return bag


@dataclass(frozen=True)
class Patients:
    """What the networks read of ``n`` patients: genomic tokens (standardised), bags or None, extra tokens or None."""

    n: int
    genomic: tuple[NDArray[np.float32], ...]
    bag: Callable[[int], FloatArray] | None
    extra: NDArray[np.float32] | None = None

    def batch(self, rows: Sequence[int], device: torch.device) -> Batch:
        """Rows as padded tensors; no padding mask if all bags are equally long."""
        at = np.asarray(rows, dtype=np.int64)
        genomic = tuple(torch.from_numpy(part[at]).to(device) for part in self.genomic)
        extra = None if self.extra is None else torch.from_numpy(self.extra[at]).to(device)
        if self.bag is None:
            return Batch(None, None, genomic, extra)
        bags = [self.bag(int(row)) for row in at]
        longest = max(len(bag) for bag in bags)
        tiles = np.zeros((len(bags), longest, bags[0].shape[1]), dtype=np.float32)
        padding = np.ones((len(bags), longest), dtype=bool)
        for place, bag in enumerate(bags):
            tiles[place, : len(bag)], padding[place, : len(bag)] = bag, False
        mask = torch.from_numpy(padding).to(device) if padding.any() else None
        return Batch(torch.from_numpy(tiles).to(device), mask, genomic, extra)

    def chunks(self, rows: Rows, tiles_at_once: int) -> Iterator[list[int]]:
        """Rows in pieces of which each, padded to its longest bag, has at most ``tiles_at_once`` tiles (or one row)."""
        if self.bag is None:
            yield rows.tolist()
            return
        piece: list[int] = []
        longest = 0
        for row in rows.tolist():
            length = len(self.bag(row))
            if piece and max(longest, length) * (len(piece) + 1) > tiles_at_once:
                yield piece
                piece, longest = [], 0
            piece.append(row)
            longest = max(longest, length)
        if piece:
            yield piece


@dataclass(frozen=True)
class Targets:
    """Bin of follow-up ``(n,)`` and whether the event was seen ``(n,)``."""

    bins: NDArray[np.int64]
    event: NDArray[np.bool_]


@dataclass(frozen=True)
class TrainingPlan:
    """``early``: stop on held-out training patients and keep the best state. Otherwise, as MCAT was released: a fixed
    number of epochs and, if ``weighted``, patients drawn with replacement and weight 1 / (size of their class of bin
    and censoring).

    ``l1``: weight of the sum of all absolute weights, added once an update; with ``l1_each`` once for every patient of
    it, as the release does. ``epochs``: what ends the training (0: as the sizes say); ``most_updates`` of an epoch (0:
    all)."""

    early: bool
    l1: float = 0.0
    l1_each: bool = False
    weighted: bool = True
    epochs: int = 0
    most_updates: int = 0


def hold_out(targets: Targets, rng: np.random.Generator) -> tuple[Rows, Rows]:
    """(fitted, held out) rows: a fifth of the patients with and of those without event."""
    held = []
    for kind in (True, False):
        members = rng.permutation(np.flatnonzero(targets.event == kind))
        held.append(members[: round(HELD_OUT * len(members))])
    out = np.sort(np.concatenate(held))
    return np.setdiff1d(np.arange(len(targets.event)), out), out


def train(
    network: nn.Module,
    patients: Patients,
    targets: Targets,
    sizes: SurvivalSizes,
    plan: TrainingPlan,
    rng: np.random.Generator,
    device: torch.device,
    keep: Checkpoint | None = None,
) -> int:
    """Fit ``network`` in place; returns the number of epochs taken. Adam, gradients summed over 32 patients.

    With ``keep``, a training that was killed goes on from its last checkpoint and ends with the same bytes.
    """
    fitted, held = np.arange(patients.n), np.zeros(0, dtype=np.int64)
    if plan.early:
        fitted, held = hold_out(targets, rng)
        if len(held) < FEWEST_HELD_OUT or not targets.event[held].any():
            fitted, held = np.arange(patients.n), np.zeros(0, dtype=np.int64)
    network.to(device)
    optimiser = torch.optim.Adam(network.parameters(), lr=sizes.learning_rate, weight_decay=sizes.weight_decay)
    state = State(network, optimiser, rng, device)
    if keep is not None:
        keep.restore(state)
    while state.taken < (plan.epochs or sizes.epochs) and state.since < sizes.patience:
        state.taken += 1
        network.train()
        order = weighted_draw(targets, fitted, rng) if plan.weighted and not plan.early else rng.permutation(fitted)
        for start in range(0, len(order), sizes.accumulate)[: plan.most_updates or None]:
            step(network, optimiser, patients, targets, order[start : start + sizes.accumulate], sizes, plan, device)
        if len(held):
            state.judge(mean_loss(network, patients, targets, held, sizes, device))
        if keep is not None:
            keep.save(state)
    if state.best is not None:
        network.load_state_dict(state.best)
    return state.taken


def weighted_draw(targets: Targets, rows: Rows, rng: np.random.Generator) -> Rows:
    """As many rows with replacement, each class of (bin, censored) as likely as the next."""
    label = targets.bins[rows] * 2 + targets.event[rows]
    weight = 1.0 / np.bincount(label)[label]
    return np.asarray(rng.choice(rows, len(rows), replace=True, p=weight / weight.sum()))


def step(
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    patients: Patients,
    targets: Targets,
    rows: Rows,
    sizes: SurvivalSizes,
    plan: TrainingPlan,
    device: torch.device,
) -> None:
    """One update from the mean loss over ``rows``; chunks share it, so their size changes memory and nothing else."""
    optimiser.zero_grad(set_to_none=True)
    for piece in patients.chunks(rows, sizes.tiles_at_once):
        loss = losses(network, patients, targets, piece, device).sum() / len(rows)
        torch.autograd.backward(loss)
    if plan.l1:
        weight = plan.l1 * (len(rows) if plan.l1_each else 1)
        penalty = weight * torch.stack([parameter.abs().sum() for parameter in network.parameters()]).sum()
        torch.autograd.backward(penalty)
    optimiser.step()


def losses(
    network: nn.Module, patients: Patients, targets: Targets, rows: Sequence[int], device: torch.device
) -> Tensor:
    """Negative log-likelihood of each row."""
    bins = torch.from_numpy(targets.bins[list(rows)]).to(device)
    event = torch.from_numpy(targets.event[list(rows)]).to(device)
    return nll(network(patients.batch(rows, device)), bins, event)


@torch.no_grad()
def mean_loss(
    network: nn.Module, patients: Patients, targets: Targets, rows: Rows, sizes: SurvivalSizes, device: torch.device
) -> float:
    network.eval()
    pieces = patients.chunks(rows, sizes.tiles_at_once)
    total = sum(float(losses(network, patients, targets, piece, device).double().sum()) for piece in pieces)
    return total / len(rows)


@torch.no_grad()
def predict_logits(network: nn.Module, patients: Patients, device: torch.device) -> Tensor:
    """Logits of every patient, one at a time: an answer must not depend on who else is asked about."""
    network.eval()
    rows = [network(patients.batch([row], device)).double().cpu() for row in range(patients.n)]
    return torch.cat(rows)
