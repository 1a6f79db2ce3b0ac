"""Training and asking of networks that read super-tiles: batches, validation, the loop, prediction in chunks."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from baselines.training.bulk_checkpoint import Checkpoint, Moving, Progress
from baselines.training.bulk_stopping import StoppingRule
from protocols.bulk.contract import GroupedBy, SlideInputs
from protocols.contract import FloatArray
from protocols.errors import UserError

Rows = NDArray[np.int64]
Forward = Callable[[Tensor, Tensor], Tensor]

KEPT_BYTES = 2 << 30
"""Super-tiles up to this size are read once and kept; more are read batch by batch."""
VALUES_AT_ONCE = 50_000_000
"""Bounds memory in prediction: places times (features + answers) of one chunk."""
CHUNK = 64


@dataclass(frozen=True)
class Schedule:
    """Numbers of one training. ``patience`` belongs to the stopping rule; a checkpoint comes ``save_every`` so many
    epochs, where there is a place for it."""

    epochs: int
    patience: int
    learning_rate: float
    batch: int = 16
    save_every: int = 10


class Tiles:
    """Super-tiles of any rows, from memory where all of them fit (``keep``)."""

    def __init__(self, data: SlideInputs, grouped_by: GroupedBy, *, keep: bool = True) -> None:
        self._data, self._grouped_by = data, grouped_by
        self.places, self.width = data.places, data.width
        small = len(data) * data.places * data.width * 4 <= KEPT_BYTES
        self._kept = data.super_tiles(grouped_by=grouped_by) if keep and small else None

    def __call__(self, rows: Rows) -> tuple[FloatArray, NDArray[np.bool_]]:
        """``features`` ``(k, K, d)`` and ``present`` ``(k, K)`` of some rows."""
        if self._kept is not None:
            return self._kept.features[rows], self._kept.present[rows]
        read = self._data.super_tiles(rows, grouped_by=self._grouped_by)
        return read.features, read.present

    def tensors(self, rows: Rows, device: torch.device) -> tuple[Tensor, Tensor]:
        features, present = self(rows)
        return torch.from_numpy(features).to(device), torch.from_numpy(present).to(device)


def tile_scale(tiles: Tiles, rows: Rows, width: int) -> tuple[FloatArray, FloatArray]:
    """Mean and SD of each feature over the present super-tiles of some slides. A constant feature keeps its scale."""
    first, second, n = np.zeros(width), np.zeros(width), 0
    for chunk in chunks(rows, CHUNK):
        features, present = tiles(chunk)
        seen = features[present].astype(np.float64)
        first, second, n = first + seen.sum(axis=0), second + np.square(seen).sum(axis=0), n + len(seen)
    mean = first / max(n, 1)
    variance = np.maximum(second / max(n, 1) - mean**2, 0.0)
    spread = np.where(variance > 1e-10 * mean**2 + 1e-30, np.sqrt(variance), 1.0)
    return mean.astype(np.float32), spread.astype(np.float32)


@dataclass(frozen=True)
class Examples:
    """Slides to learn from (``fitted``) and to stop by (``held``), as rows of ``tiles`` and ``targets``."""

    tiles: Tiles
    targets: FloatArray
    fitted: Rows
    held: Rows


@dataclass(frozen=True)
class Looking:
    """How validation is measured: all slides at once, or averaged over shuffled mini-batches, as released.

    ``clip``: negative predictions count as 0 in the correlation (HE2RNA).
    """

    by_batch: bool = False
    clip: bool = False


@dataclass(frozen=True)
class Trained:
    """What happened: epochs run, the epoch whose weights answer, and whether the stopping rule ended it.

    ``resumed_from``: epochs that a checkpoint had done already.
    """

    epochs: int
    kept_epoch: int
    stopped: bool = False
    resumed_from: int = 0


def mean_correlation(truth: FloatArray, predicted: FloatArray, *, constant_prediction: float | None = 0.0) -> float:
    """Mean over genes of Pearson r, ``(n, genes)`` each; NaN if no gene is defined.

    Genes whose truth is constant are left out; a constant prediction counts ``constant_prediction``, or, with None, is
    left out, too (as in the released code).
    """
    x, y = truth.astype(np.float64), predicted.astype(np.float64)
    flat_x, flat_y = np.ptp(x, axis=0) == 0, np.ptp(y, axis=0) == 0
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    scale = np.sqrt(np.square(x).sum(axis=0) * np.square(y).sum(axis=0))
    flat_y |= (scale == 0) & ~flat_x
    r = np.divide((x * y).sum(axis=0), scale, out=np.zeros_like(scale), where=~(flat_x | flat_y))
    r[flat_y] = 0.0 if constant_prediction is None else constant_prediction
    kept = ~flat_x & ~flat_y if constant_prediction is None else ~flat_x
    return float(r[kept].mean()) if kept.any() else float("nan")


def train(
    network: nn.Module,
    examples: Examples,
    schedule: Schedule,
    rule: StoppingRule | None,
    looking: Looking,
    rng: np.random.Generator,
    device: torch.device,
    forward: Forward | None = None,
    *,
    most_steps: int = 0,
    checkpoint: Checkpoint | None = None,
) -> Trained:
    """Adam at a fixed rate on the mean squared error; leaves the network with the weights that answer.

    ``forward`` is the pass used in training (default: the network's own). Without slides to stop by, a rule that needs
    a score is left out and every epoch is run; one that looks at the loss alone is shown the training loss. After
    ``most_steps`` updates (0: as many as the schedule has) the training ends, whatever its rule says.
    """
    if not len(examples.fitted):
        raise UserError("no slide to train on", where="fit", expected="slides outside the validation set", remedy="add")
    if rule is not None and rule.needs_score and not len(examples.held):
        rule = None
    network.to(device)
    moving = Moving(network, torch.optim.Adam(network.parameters(), lr=schedule.learning_rate), rule, rng, device)
    done = checkpoint.restore(moving) if checkpoint else None
    at, stop = done or Progress(), False
    start = at.epoch
    if rule is not None and rule.looks_before and not start:
        rule.update(-1, *look(network, examples, looking, rng, device, schedule.batch))
    while at.epoch < schedule.epochs and not stop and not 0 < most_steps <= at.steps:
        left = most_steps - at.steps if most_steps else None
        losses = _epoch(moving, examples, schedule.batch, forward or network, left)
        loss, score = float(losses.mean()), float("nan")
        if rule is not None:
            if len(examples.held):
                loss, score = look(network, examples, looking, rng, device, schedule.batch)
            save, stop = rule.update(at.epoch, loss, score)
            if save and rule.reload_best:
                at.saved, at.kept = copy.deepcopy(network.state_dict()), at.epoch
        at.epoch, at.steps = at.epoch + 1, at.steps + len(losses)
        if checkpoint and not stop:
            checkpoint.save(at, moving)
    if at.saved is not None:
        network.load_state_dict(at.saved)
    if not all(bool(torch.isfinite(part).all()) for part in network.state_dict().values()):
        raise UserError(
            "training diverged: a weight is not finite", where=f"epoch {at.epoch - 1}", expected="finite weights",
            remedy="standardise the features or lower the learning rate",
        )  # fmt: skip
    return Trained(at.epoch, at.epoch - 1 if at.saved is None else at.kept, stop, start)


def _epoch(moving: Moving, examples: Examples, batch: int, forward: Forward, most: int | None) -> Tensor:
    """One pass over the fitted slides in a new order, of at most ``most`` updates; the loss of each batch."""
    moving.network.train()
    losses = []
    for rows in chunks(moving.rng.permutation(examples.fitted), batch)[:most]:
        tiles, present = examples.tiles.tensors(rows, moving.device)
        truth = torch.from_numpy(examples.targets[rows]).to(moving.device)
        loss = nn.functional.mse_loss(forward(tiles, present), truth)
        moving.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        moving.optimiser.step()
        losses.append(loss.detach())
    return torch.stack(losses)


def look(
    network: nn.Module,
    examples: Examples,
    looking: Looking,
    rng: np.random.Generator,
    device: torch.device,
    batch: int,
) -> tuple[float, float]:
    """Validation loss and score. By batch, one batch without any defined r makes the score NaN, as in the release."""
    rows = rng.permutation(examples.held) if looking.by_batch else examples.held
    answers = predict_rows(network, examples.tiles, rows, device)
    truth = examples.targets[rows]
    size = batch if looking.by_batch else len(rows)
    losses, scores = [], []
    for at in chunks(np.arange(len(rows)), size):
        error = np.square(answers[at].astype(np.float64) - truth[at])
        losses.append(float(error.mean()))
        shown = np.maximum(answers[at], 0.0) if looking.clip else answers[at]
        undefined = None if looking.by_batch else 0.0
        scores.append(mean_correlation(truth[at], shown, constant_prediction=undefined))
    return float(np.mean(losses)), float(np.mean(scores))


@torch.no_grad()
def predict_rows(network: Any, tiles: Tiles, rows: Rows, device: torch.device) -> FloatArray:
    """Answers of some rows in evaluation mode, float32 ``(k, genes)``, a bounded number of rows at a time."""
    network.eval()
    genes = network.output.out_features
    size = rows_at_once(tiles, genes)
    parts = [network(*tiles.tensors(chunk, device)).cpu().numpy() for chunk in chunks(rows, size)]
    return np.concatenate(parts) if parts else np.zeros((0, genes), dtype=np.float32)


def rows_at_once(tiles: Tiles, genes: int) -> int:
    """As many rows as bounded memory allows, at most 64: a score a place and gene is the largest array."""
    return int(np.clip(VALUES_AT_ONCE // (tiles.places * (tiles.width + genes)), 1, CHUNK))


def chunks(rows: Rows, size: int) -> list[Rows]:
    """Consecutive pieces of ``size`` rows, the last perhaps smaller."""
    return [rows[start : start + size] for start in range(0, len(rows), max(size, 1))]
