"""End-to-end fine-tuning of any encoder of the table with one linear output per gene: one loop for ST-Net and others.

The recipe is ST-Net's (He et al., Nature Biomedical Engineering 2020, and its released code): the head starts with
zero weights and the training mean as bias, images are flipped and turned at random, the loss is the squared error
summed over the batch and averaged over genes, SGD with momentum, and a prediction is the mean over dihedral views.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from baselines.encoders.embedding import central, to_input
from baselines.encoders.entries import encoder_spec
from baselines.encoders.spec import EncoderSize, Triple
from baselines.encoders.weights import load_encoder
from baselines.training.checkpoints import found, keep, random_state, restore_random_state, stage_file
from baselines.training.torch_run import torch_run
from past_model.resizing import Filter, resized
from protocols.contract import (
    CropArray,
    FloatArray,
    Inputs,
    RowArray,
    ScheduleRecord,
    Settings,
    TrainingData,
    WeightsRecord,
)
from protocols.seeds import derive_seed, generator


@dataclass(frozen=True)
class FineTuning:
    """Numbers of the loop. Steps are ``min(max_steps, epochs)``; 0 steps leave a stage out.

    ``pretrain_*`` run once per group of folds on the union of its training rows, ``fit_*`` once per fold.
    ``rows_in_memory`` caps how many training crops are held (uint8, ``pixels`` wide; a seeded choice).
    ``normalisation_rows``: crops from which channel mean and SD are estimated (0: the encoder table's constants).
    ``clip_norm``: the gradient's largest norm (infinite: not clipped, as published).
    ``views``: how many of the eight dihedral views a prediction averages.
    ``rule``: what ends a fold's training by the method's own account, ``rule_epochs`` of it; fewer are a cut schedule.
    ``save_every``: steps between two checkpoints.
    """

    rule: str
    rule_epochs: int
    pretrain_epochs: int
    pretrain_max_steps: int
    fit_epochs: int
    fit_max_steps: int
    learning_rate: float
    batch: int = 32
    momentum: float = 0.9
    weight_decay: float = 0.0
    clip_norm: float = math.inf
    views: int = 8
    normalisation_rows: int = 0
    rows_in_memory: int = 100_000
    save_every: int = 500


class Regressor(nn.Module):
    """Encoder and linear head."""

    def __init__(self, encoder: nn.Module, dim: int, genes: tuple[str, ...]) -> None:
        super().__init__()
        self.encoder = encoder
        self.dim = dim
        self.genes = genes
        self.head = nn.Linear(dim, len(genes))
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.head(self.encoder(x)))

    @torch.no_grad()
    def ask_for(self, genes: tuple[str, ...], mean: FloatArray) -> None:
        """Give the head these genes: weights of known genes stay, new ones are 0; the bias becomes ``mean``."""
        known = {gene: row for row, gene in enumerate(self.genes)}
        head = nn.Linear(self.dim, len(genes)).to(self.head.weight.device)
        head.weight.zero_()
        for row, gene in enumerate(genes):
            if gene in known:
                head.weight[row] = self.head.weight[known[gene]]
        head.bias.copy_(torch.from_numpy(mean))
        self.head, self.genes = head, genes


class FineTuned:
    """One network over its life: started, trained on a group's rows, adjusted to a fold, asked.

    Targets are any float ``(n, genes)`` with NaN where unmeasured. A fold's adjustment works on a copy, so folds do
    not see each other. With a workspace, a training that was killed goes on from its last checkpoint to the same bytes.
    """

    def __init__(self, encoder: str, recipe: FineTuning, settings: Settings) -> None:
        self.recipe = replace(
            recipe,
            pretrain_max_steps=settings.at_most(recipe.pretrain_max_steps),
            fit_max_steps=settings.at_most(recipe.fit_max_steps),
        )
        self.settings, self.name = settings, encoder
        self.spec = encoder_spec(encoder)
        self.size = self.spec.size(settings.profile)
        self.normalisation: tuple[Triple, Triple] = self.spec.normalisation
        self.record: WeightsRecord | None = None
        self.schedule: tuple[ScheduleRecord, ...] = ()
        self.resumed_from = 0
        self._before = 0
        self._started_on: tuple[object, ...] = ()
        self._start: Regressor | None = None
        self._fitted: Regressor | None = None

    def pretrain(self, data: TrainingData, targets: FloatArray) -> None:
        """Start from the table's weights (or at random) and train on the group's rows."""
        with torch_run(self.settings):
            encoder, self.record = load_encoder(self.name, self.settings)
        network = Regressor(encoder, self.size.dim, data.genes)
        rows = self._chosen_rows(len(data), self.recipe.pretrain_max_steps)
        crops = crops_at(data, rows, self.size, self.spec.filter)
        if self.recipe.normalisation_rows:
            self.normalisation = channel_statistics(crops[: self.recipe.normalisation_rows])
        network.ask_for(data.genes, gene_means(targets))
        epochs, steps = self.recipe.pretrain_epochs, self.recipe.pretrain_max_steps
        self._started_on = (data.slide, data.xy_um, targets)
        path = self._stage(data, "start")
        self._before = self._train(network, crops, targets[rows], epochs, steps, path)
        self._start = network

    def fit(self, data: TrainingData, targets: FloatArray) -> None:
        """Adjust a copy to a fold; without ``pretrain`` the fold's own rows stand in for the group's."""
        if self._start is None:
            self.pretrain(data, targets)
        network = copy.deepcopy(cast(Regressor, self._start))
        network.ask_for(data.genes, gene_means(targets))
        rows = self._chosen_rows(len(data), self.recipe.fit_max_steps)
        if len(rows):
            crops = crops_at(data, rows, self.size, self.spec.filter)
            path = self._stage(data, "fold", data.slide, data.xy_um, targets)
            taken = self._train(network, crops, targets[rows], self.recipe.fit_epochs, self.recipe.fit_max_steps, path)
            self.schedule += (self._told(taken, len(rows), len(data)),)
        self._fitted = network

    def predict(self, data: Inputs) -> FloatArray:
        network = cast(Regressor, self._fitted)
        out = np.empty((len(data), len(network.genes)), dtype=np.float32)
        with torch_run(data.settings) as device, torch.inference_mode():
            network.to(device).eval()
            for rows, crops in data.crop_batches(256):
                x = to_input(
                    central(crops, self.size.view), self.size.pixels, self.normalisation, device, self.spec.filter
                )
                with _autocast(device):
                    views = [network(view).float() for view in dihedral_views(x)[: self.recipe.views]]
                out[rows] = torch.stack(views).mean(dim=0).cpu().numpy()
        return out

    def _chosen_rows(self, n: int, max_steps: int) -> RowArray:
        """At most as many rows as the steps can use and the memory may hold, sorted."""
        count = min(n, self.recipe.rows_in_memory, max_steps * self.recipe.batch)
        return np.sort(generator(self.settings.seed, "fine-tuning rows", n).permutation(n)[:count])

    def _train(
        self,
        network: Regressor,
        crops: CropArray,
        targets: FloatArray,
        epochs: int,
        max_steps: int,
        path: Path | None = None,
    ) -> int:
        """Train in place; returns the steps of the whole training, those of an earlier process among them."""
        recipe = self.recipe
        seed = derive_seed(self.settings.seed, "fine-tuning", self.name)
        with torch_run(self.settings) as device:
            torch.manual_seed(seed)
            deck = _Deck(len(crops), recipe.batch, torch.Generator().manual_seed(seed))
            total = min(max_steps, epochs * deck.per_epoch)
            network.to(device).train()
            optimiser = torch.optim.SGD(
                network.parameters(), recipe.learning_rate, recipe.momentum, weight_decay=recipe.weight_decay
            )
            goal = torch.from_numpy(targets)
            self.resumed_from = _resume(path, network, optimiser, deck, device)
            for step in range(self.resumed_from, total):
                at = deck.deal()
                x = to_input(crops[at.numpy()], self.size.pixels, self.normalisation, device, self.spec.filter)
                x = augmented(x, deck.order)
                with _autocast(device):
                    predicted = network(x)
                optimiser.zero_grad()
                loss = squared_error(predicted.float(), goal[at].to(device))
                loss.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(network.parameters(), recipe.clip_norm)
                optimiser.step()
                if step + 1 == total or (step + 1) % recipe.save_every == 0:
                    _save(path, step + 1, network, optimiser, deck, device)
            network.eval()
        return total

    def _stage(self, data: TrainingData, stage: str, *parts: object) -> Path | None:
        """The checkpoint of a stage that starts from the same weights, on the same rows, with the same numbers."""
        given = (self.name, data.genes, self.recipe, self.settings, *self._started_on, *parts)
        return stage_file(data.workspace, f"{self.name}-{stage}", *given)

    def _told(self, taken: int, rows: int, n: int) -> ScheduleRecord:
        """Of a fold: steps, those of its group among them, against the method's own rule on all of its rows."""
        recipe = self.recipe
        owed = recipe.rule_epochs * max(n // recipe.batch, 1)
        cap = (recipe.pretrain_max_steps if recipe.pretrain_epochs else 0) + recipe.fit_max_steps
        taken += self._before
        return ScheduleRecord("network, tuned end to end", "steps", taken, cap, recipe.rule, taken < owed or rows < n)


class _Deck:
    """Batches of one random pass after another. A last batch of one is left out: batch normalisation needs two."""

    def __init__(self, n: int, size: int, order: torch.Generator) -> None:
        self.n, self.size, self.order = n, size, order
        self.per_epoch = n // size + (n % size > 1)
        self.shuffled, self.place = torch.zeros(0, dtype=torch.int64), self.per_epoch

    def deal(self) -> Tensor:
        if self.place == self.per_epoch:
            self.shuffled, self.place = torch.randperm(self.n, generator=self.order), 0
        start = self.place * self.size
        self.place += 1
        return self.shuffled[start : start + self.size]


def _save(
    path: Path | None,
    step: int,
    network: Regressor,
    optimiser: torch.optim.Optimizer,
    deck: _Deck,
    device: torch.device,
) -> None:
    state = {
        "step": step,
        "network": network.state_dict(),
        "optimiser": optimiser.state_dict(),
        "shuffled": deck.shuffled,
        "place": deck.place,
        "order": deck.order.get_state(),
        **random_state(device),
    }
    keep(path, state)


def _resume(
    path: Path | None, network: Regressor, optimiser: torch.optim.Optimizer, deck: _Deck, device: torch.device
) -> int:
    """Take up what an earlier process left; the step at which it was, or 0."""
    state = found(path)
    if state is None:
        return 0
    network.load_state_dict(state["network"])
    optimiser.load_state_dict(state["optimiser"])
    deck.shuffled, deck.place = state["shuffled"], int(state["place"])
    deck.order.set_state(state["order"])
    restore_random_state(state, device)
    return int(state["step"])


def squared_error(predicted: Tensor, target: Tensor) -> Tensor:
    """Squared error summed over the batch and divided by the number of genes (ST-Net's); NaN targets count 0."""
    seen = torch.isfinite(target)
    residual = torch.where(seen, predicted - torch.nan_to_num(target), torch.zeros_like(predicted))
    return residual.square().sum() / target.shape[1]


def augmented(x: Tensor, order: torch.Generator) -> Tensor:
    """Each image flipped left-right, upside down and turned by 90 degrees, each with probability one half."""
    choice = (torch.rand((3, len(x), 1, 1, 1), generator=order) < 0.5).to(x.device)
    x = torch.where(choice[0], x.flip(-1), x)
    x = torch.where(choice[1], x.flip(-2), x)
    return torch.where(choice[2], x.rot90(1, (-2, -1)), x)


def dihedral_views(x: Tensor) -> list[Tensor]:
    """The eight symmetries of the square; the first two are the image and its half turn."""
    turned = [x.rot90(quarter, (-2, -1)) for quarter in (0, 2, 1, 3)]
    return turned + [view.flip(-1) for view in turned]


def gene_means(targets: FloatArray) -> FloatArray:
    """Mean over measured rows, 0 for a gene never measured."""
    seen = np.isfinite(targets)
    total = np.where(seen, targets, 0.0).sum(axis=0, dtype=np.float64)
    mean: FloatArray = (total / np.maximum(seen.sum(axis=0), 1)).astype(np.float32)
    return mean


def channel_statistics(crops: CropArray) -> tuple[Triple, Triple]:
    """Mean and SD of red, green and blue on the 0-1 scale."""
    unit = crops.reshape(-1, 3).astype(np.float64) / 255.0
    mean, spread = unit.mean(axis=0), np.maximum(unit.std(axis=0), 1e-3)
    return cast("tuple[Triple, Triple]", (tuple(mean.tolist()), tuple(spread.tolist())))


def crops_at(data: Inputs, rows: RowArray, size: EncoderSize, filter: Filter) -> CropArray:
    """Crops of the chosen rows at the network's input size, uint8 ``(len(rows), pixels, pixels, 3)``."""
    out = np.empty((len(rows), size.pixels, size.pixels, 3), dtype=np.uint8)
    place = np.full(len(data), -1, dtype=np.int64)
    place[rows] = np.arange(len(rows))
    for at, crops in data.crop_batches(256):
        wanted = place[at] >= 0
        if wanted.any():
            out[place[at[wanted]]] = resized(central(crops[wanted], size.view), size.pixels, filter)
    return out


def _autocast(device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda")
