"""HEX as published: the last layers of MUSK and a head, tuned on augmented tiles with its loss and its smoothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from baselines.encoders.embedding import central, prepared
from baselines.encoders.spec import EncoderSize, EncoderSpec
from baselines.networks.hex_head import HexNetwork
from baselines.networks.hex_recipe import HexRecipe
from baselines.training.checkpoints import found, keep, random_state, restore_random_state
from baselines.training.feature_smoothing import FeatureDistributionSmoothing
from baselines.training.hex_augmentation import jittered, turned
from baselines.training.robust_loss import AdaptiveRobustLoss
from baselines.training.torch_run import torch_run
from past_model.resizing import resized
from protocols.contract import CropArray, FloatArray, Inputs, RowArray, Settings, TrainingData


@dataclass(frozen=True)
class HexTuning(HexRecipe):
    """Numbers of the tuning; as they stand here, those of the release.

    ``tuned_layers`` of the encoder's last layers move, with its final norm, until epoch ``frozen_from``. An update is
    of ``batch`` tiles, of which ``at_once`` are in the network together: no layer mixes tiles and dropout is drawn for
    each, so the sum over parts, each by its share of the measured entries, is the gradient of the whole batch's mean.
    ``start_at_mean``: whether the outputs begin at the training means (the release: at random). ``rows_in_memory``:
    the most tiles that are held (uint8, as they were cut); more are read again whenever they are due.
    """

    learning_rate: float = 1e-5
    loss_learning_rate: float = 1e-5
    tuned_layers: int = 4
    frozen_from: int = 100
    at_once: int = 48
    start_at_mean: bool = False
    rows_in_memory: int = 10_000
    save_every: int = 200


class TunedHex(nn.Module):
    """An encoder, of which all but its last layers and its norm never move, and HEX's head."""

    def __init__(self, encoder: nn.Module, head: HexNetwork, tuned_layers: int) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head
        blocks = list(cast(nn.Sequential, encoder.blocks))
        self.moving: list[nn.Module] = [*blocks[len(blocks) - tuned_layers :], cast(nn.Module, encoder.norm)]
        encoder.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.head(self.encoder(x)))

    def begin(self, *, backbone: bool) -> None:
        """Into training: the head, and with ``backbone`` the encoder's last layers; the rest stays in eval."""
        self.eval()
        self.head.train()
        for module in self.moving:
            module.train(backbone).requires_grad_(backbone)

    def tuned(self) -> dict[str, nn.Parameter]:
        """What moves in the course of a training, by name: the encoder's last layers and norm, and the head."""
        ours = {id(one) for module in [*self.moving, self.head] for one in module.parameters()}
        return {name: one for name, one in self.named_parameters() if id(one) in ours}


class Tiles:
    """A cohort's tiles as the network takes them, augmented or plain."""

    def __init__(self, data: Inputs, spec: EncoderSpec, size: EncoderSize, held: int) -> None:
        self.data, self.spec, self.size = data, spec, size
        self._held = data.crops() if len(data) <= held else None

    def augmented(self, rows: RowArray, order: torch.Generator, device: torch.device) -> Tensor:
        crops = self.data.crops(rows) if self._held is None else self._held[rows]
        image = resized(turned(central(crops, self.size.view), order), self.size.pixels, self.spec.filter)
        x = torch.from_numpy(np.ascontiguousarray(image)).to(device).permute(0, 3, 1, 2).float().div_(255.0)
        mean, spread = (torch.tensor(one, device=device).view(1, 3, 1, 1) for one in self.spec.normalisation)
        return (jittered(x, order) - mean) / spread


def unit_of(targets: FloatArray) -> FloatArray:
    """Where a target lies among the smoothing's bins: as it is in [0, 1], else within its training range; holes 0."""
    seen = np.isfinite(targets)
    filled = np.where(seen, targets, 0.0)
    if filled.min(initial=0.0) >= 0 and filled.max(initial=0.0) <= 1:
        return filled.astype(np.float32)
    low = np.where(seen, targets, np.inf).min(axis=0)
    extent = np.maximum(np.where(seen, targets, -np.inf).max(axis=0) - low, 1e-6)
    return np.where(seen, (filled - low) / extent, 0.0).astype(np.float32)


class Training:
    """One training: everything that a step changes, so that a killed one can go on."""

    def __init__(self, network: TunedHex, tiles: Tiles, targets: FloatArray, recipe: HexTuning, seed: int) -> None:
        self.network, self.tiles, self.recipe = network, tiles, recipe
        seen = np.isfinite(targets)
        self.y = torch.from_numpy(np.where(seen, targets, 0.0).astype(np.float32))
        self.unit, self.seen = torch.from_numpy(unit_of(targets)), torch.from_numpy(seen)
        self.order = torch.Generator().manual_seed(seed)
        self.taken, self.epoch, self.place = 0, 0, 0
        self.shuffled = torch.zeros(0, dtype=torch.int64)
        self.loss = AdaptiveRobustLoss(targets.shape[1])
        self.smoother = FeatureDistributionSmoothing(
            targets.shape[1], recipe.hidden[1], recipe.bins, recipe.kernel, recipe.sigma
        )

    def run(self, most: int, path: Path | None, device: torch.device) -> None:
        """Take updates until there are ``most``, those of an earlier process among them."""
        recipe = self.recipe
        self.network.to(device)
        self.loss.to(device)
        self.smoother.to(device)
        groups = [
            {"params": list(self.network.tuned().values()), "lr": recipe.learning_rate},
            {"params": list(self.loss.parameters()), "lr": recipe.loss_learning_rate},
        ]
        optimiser = torch.optim.Adam(groups)
        rates = torch.optim.lr_scheduler.ExponentialLR(optimiser, recipe.decay)
        self._resume(path, optimiser, rates, device)
        in_epoch = recipe.steps_of_epoch(len(self.y))
        while self.taken < most:
            self.network.begin(backbone=self.epoch < recipe.frozen_from)
            if self.place == 0:
                self.shuffled = torch.randperm(len(self.y), generator=self.order)
            while self.place < in_epoch and self.taken < most:
                at = self.shuffled[self.place * recipe.batch : (self.place + 1) * recipe.batch]
                update(self, at, optimiser, device)
                self.place, self.taken = self.place + 1, self.taken + 1
                if self.taken == most or self.taken % recipe.save_every == 0:
                    self._save(path, optimiser, rates, device)
            if self.taken < most:
                rates.step()
                if self.epoch < recipe.smoothing_until:
                    self._end_of_epoch(device)
                self.epoch, self.place = self.epoch + 1, 0

    def smooths(self) -> bool:
        return self.recipe.smoothing_from <= self.epoch < self.recipe.smoothing_until

    def parts(self, at: Tensor) -> Iterator[Tensor]:
        yield from torch.split(at, self.recipe.at_once)

    @torch.no_grad()
    def _end_of_epoch(self, device: torch.device) -> None:
        """Feed the features of all tiles, augmented and with dropout as in training, to the smoother."""
        features = torch.empty(len(self.y), self.recipe.hidden[1], device=device)
        for at in self.parts(torch.arange(len(self.y))):
            with autocast(device):
                found = self.network.head.body(self.network.encoder(self.image(at, device)))
            features[at.to(device)] = found.float()
        self.smoother.update(features, self.unit.to(device), self.seen.to(device))

    def image(self, at: Tensor, device: torch.device) -> Tensor:
        return self.tiles.augmented(at.numpy(), self.order, device)

    def _save(self, path: Path | None, optimiser: Any, rates: Any, device: torch.device) -> None:
        if path is None:
            return
        smoother = self.smoother
        state = {
            "taken": self.taken, "epoch": self.epoch, "place": self.place, "shuffled": self.shuffled,
            "order": self.order.get_state(),
            "tuned": {name: one.detach() for name, one in self.network.tuned().items()},
            "loss": self.loss.state_dict(), "optimiser": optimiser.state_dict(), "rates": rates.state_dict(),
            "smoother": (smoother._mean, smoother._variance, smoother._seen), "last": smoother._last,
            **random_state(device),
        }  # fmt: skip
        keep(path, state)

    @torch.no_grad()
    def _resume(self, path: Path | None, optimiser: Any, rates: Any, device: torch.device) -> None:
        state = found(path, device)
        if state is None:
            return
        self.taken, self.epoch, self.place = (int(state[name]) for name in ("taken", "epoch", "place"))
        self.shuffled = state["shuffled"].cpu()
        self.order.set_state(state["order"].cpu())
        for name, one in self.network.tuned().items():
            one.copy_(state["tuned"][name])
        self.loss.load_state_dict(state["loss"])
        optimiser.load_state_dict(state["optimiser"])
        rates.load_state_dict(state["rates"])
        smoother = self.smoother
        (smoother._mean, smoother._variance, smoother._seen), smoother._last = state["smoother"], state["last"]
        restore_random_state(state, device)


def update(training: Training, at: Tensor, optimiser: torch.optim.Optimizer, device: torch.device) -> None:
    """One update by the tiles ``at``; the gradient is summed over parts."""
    network, head = training.network, training.network.head
    entries = training.seen[at].sum().clamp(min=1)
    optimiser.zero_grad()
    for part in training.parts(at):
        measured, y = training.seen[part].to(device), training.y[part].to(device)
        with autocast(device):
            features = head.body(network.encoder(training.image(part, device)))
        features = features.float()
        if training.smooths():
            predicted = head.per_gene(training.smoother.smooth(features, training.unit[part].to(device)))
        else:
            predicted = head.output(features)
        share = measured.sum() / entries.to(device)
        (training.loss(predicted - y, measured) * share).backward()
    optimiser.step()


def autocast(device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda")


def planned_steps(recipe: HexTuning, rows: int, settings: Settings) -> int:
    """Updates after which a training on ``rows`` tiles ends."""
    steps = recipe.epochs * recipe.steps_of_epoch(rows)
    return settings.at_most(steps if recipe.max_steps is None else min(steps, recipe.max_steps))


def tune(
    encoder: nn.Module, start: HexNetwork | None, data: TrainingData, recipe: HexTuning, spec: EncoderSpec, seed: int,
    path: Path | None = None,
) -> tuple[TunedHex, int]:  # fmt: skip
    """The tuned network in eval mode on the CPU, and the updates that it took.

    ``start``: a head whose hidden layers the new one begins with. Targets are any float ``(n, genes)``, NaN where
    unmeasured. ``path``: where the training is kept, so that a killed one ends in the same bytes.
    """
    size = spec.size(data.settings.profile)
    with torch_run(data.settings) as device:
        torch.manual_seed(seed)
        head = HexNetwork(size.dim, recipe.hidden, len(data.genes), recipe.dropout)
        if start is not None:
            head.body.load_state_dict(start.body.state_dict())
        if recipe.start_at_mean:
            seen = np.isfinite(data.targets)
            mean = np.where(seen, data.targets, 0.0).sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
            with torch.no_grad():
                head.output.bias.copy_(torch.from_numpy(mean.astype(np.float32)))
        network = TunedHex(encoder, head, recipe.tuned_layers)
        training = Training(network, Tiles(data, spec, size, recipe.rows_in_memory), data.targets, recipe, seed)
        training.run(planned_steps(recipe, len(data), data.settings), path, device)
        network.cpu().eval().requires_grad_(False)
    return network, training.taken


def answers(network: TunedHex, data: Inputs, spec: EncoderSpec) -> FloatArray:
    """Predictions ``(n, genes)`` for plain tiles, seen once."""
    size = spec.size(data.settings.profile)
    out = np.empty((len(data), len(data.genes)), dtype=np.float32)
    with torch_run(data.settings) as device, torch.inference_mode():
        network.to(device).eval()
        for rows, crops in data.crop_batches(64):
            out[rows] = _asked(network, crops, size, spec, device)
        network.cpu()
    return out


def _asked(
    network: TunedHex, crops: CropArray, size: EncoderSize, spec: EncoderSpec, device: torch.device
) -> FloatArray:
    with autocast(device):
        found: Tensor = network(prepared(central(crops, size.view), size, spec, device))
    answer: FloatArray = found.float().cpu().numpy()
    return answer
