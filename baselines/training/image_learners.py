"""Regressors, adversarial learners and diffusion as :class:`~baselines.training.image_training.Learner`."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from baselines.networks.diffusion_process import PUBLISHED, Process, Reading, ScheduleName, sample, training_loss
from baselines.networks.diffusion_unet import DiffusionSizes, DiffusionUNet
from baselines.networks.film_generator import FilmGenerator, FilmSizes
from baselines.networks.image_networks import UNet, UNetSizes
from baselines.staining.parts.pairs import Batch, Pairs, affine_colour, embedding_scale
from baselines.training.image_training import Learner
from protocols.contract import RowArray


def update(optimisers: list[torch.optim.Optimizer], loss: Tensor) -> None:
    """One joint step of some optimisers."""
    for optimiser in optimisers:
        optimiser.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    for optimiser in optimisers:
        optimiser.step()


class UNetLearner(Learner):
    """Plain U-Net, mean absolute error, Adam; its colours start at the least-squares affine map."""

    def __init__(self, sizes: UNetSizes) -> None:
        self.network = UNet(sizes)
        self.parts = {"network": self.network}

    def prepare(self, pairs: Pairs, rows: RowArray) -> None:
        self.network.colour.set(*affine_colour(pairs, rows))

    def optimise(self, learning_rate: float) -> None:
        self.optimisers = {"network": torch.optim.Adam(self.network.parameters(), lr=learning_rate)}

    def step(self, batch: Batch, draws: torch.Generator) -> Tensor:  # noqa: ARG002
        loss = functional.l1_loss(self.network(batch.he), batch.ihc)
        update([self.optimisers["network"]], loss)
        return loss.detach()

    def answer(self, he: Tensor, embedding: Tensor | None, noise: list[torch.Generator]) -> Tensor:  # noqa: ARG002
        image: Tensor = self.network(he)
        return image


class FilmLearner(Learner):
    """PAST's generator, mean absolute error, Adam."""

    def __init__(self, sizes: FilmSizes, embedding: int) -> None:
        self.network = FilmGenerator(sizes, embedding)
        self.parts = {"network": self.network}

    def prepare(self, pairs: Pairs, rows: RowArray) -> None:
        self.network.unet.colour.set(*affine_colour(pairs, rows))
        self.network.scale.set(*embedding_scale(pairs, rows))

    def optimise(self, learning_rate: float) -> None:
        self.optimisers = {"network": torch.optim.Adam(self.network.parameters(), lr=learning_rate)}

    def step(self, batch: Batch, draws: torch.Generator) -> Tensor:  # noqa: ARG002
        loss = functional.l1_loss(self.network(batch.he, batch.embedding), batch.ihc)
        update([self.optimisers["network"]], loss)
        return loss.detach()

    def answer(self, he: Tensor, embedding: Tensor | None, noise: list[torch.Generator]) -> Tensor:  # noqa: ARG002
        image: Tensor = self.network(he, embedding)
        return image


@dataclass(frozen=True)
class DiffusionSetup:
    """``steps`` of the chain, of which ``sampling_steps`` are walked; ``decay`` of the weights' running mean."""

    sizes: DiffusionSizes
    steps: int
    sampling_steps: int
    decay: float
    schedule: ScheduleName = "cosine"
    reading: Reading = PUBLISHED


class DiffusionLearner(Learner):
    """Improved diffusion: AdamW without decay, times drawn evenly; the running mean of the weights answers."""

    def __init__(self, setup: DiffusionSetup) -> None:
        self.setup = setup
        self.process = Process.of(setup.schedule, setup.steps)
        self.network = DiffusionUNet(setup.sizes, learned_sigma=setup.reading.variance == "learned")
        self.mean = copy.deepcopy(self.network).requires_grad_(False)
        self.parts = {"network": self.network, "mean": self.mean}

    def optimise(self, learning_rate: float) -> None:
        optimiser = torch.optim.AdamW(self.network.parameters(), lr=learning_rate, weight_decay=0.0, fused=True)
        self.optimisers = {"network": optimiser}

    def step(self, batch: Batch, draws: torch.Generator) -> Tensor:
        device = batch.he.device
        t = torch.randint(0, self.setup.steps, (len(batch.he),), generator=draws).to(device)
        noise = torch.randn(batch.ihc.shape, generator=draws).to(device)

        def denoise(noisy: Tensor, times: Tensor) -> Tensor:
            output: Tensor = self.network(noisy, batch.he, times)
            return output.float()

        loss = training_loss(self.process, denoise, batch.ihc, t, noise, self.setup.reading)
        update([self.optimisers["network"]], loss)
        with torch.no_grad():
            torch._foreach_lerp_(list(self.mean.parameters()), list(self.network.parameters()), 1 - self.setup.decay)
        return loss.detach()

    def answer(self, he: Tensor, embedding: Tensor | None, noise: list[torch.Generator]) -> Tensor:  # noqa: ARG002
        def denoise(noisy: Tensor, times: Tensor) -> Tensor:
            output: Tensor = self.mean(noisy, he, times)
            return output.float()  # the chain itself is walked in full precision

        def draw() -> Tensor:
            return torch.stack([torch.randn(he.shape[1:], generator=one) for one in noise]).to(he.device)

        process = self.process.respaced(self.setup.sampling_steps)
        return sample(process, denoise, draw, self.setup.reading)
