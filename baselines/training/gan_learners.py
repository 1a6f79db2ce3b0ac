"""Adversarial learners: RegGAN in its four modes, and pix2pix (Kong et al., NeurIPS 2021, and the released code)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from baselines.networks.reggan_networks import (
    PatchDiscriminator,
    RegganSizes,
    RegistrationNetwork,
    ResNetGenerator,
    roughness,
    warp,
)  # fmt: skip
from baselines.staining.parts.pairs import Batch
from baselines.training.image_learners import update
from baselines.training.image_training import Learner

CORRECTION, SMOOTHNESS, CYCLE, PIX2PIX_L1 = 20.0, 10.0, 10.0, 100.0
BETAS = (0.5, 0.999)
POOL = 50


@dataclass(frozen=True)
class RegganMode:
    """``cycle``: C, else NC. ``registers``: with R.

    ``corrects``: without R, the correction loss stays, on an image that is not warped; the difference to "with R" is
    then R alone. The released code drops that loss together with R.
    """

    cycle: bool = False
    registers: bool = True
    corrects: bool = False


def towards(scores: Tensor, value: float) -> Tensor:
    """Least-squares adversarial loss."""
    return (scores.float() - value).square().mean()


@contextmanager
def frozen(judges: list[nn.Module]) -> Iterator[None]:
    """Their weights get no gradients inside the block: a generator's step needs only those that pass through."""
    for judge in judges:
        judge.requires_grad_(False)
    yield
    for judge in judges:
        judge.requires_grad_(True)


class ReplayPool:
    """Up to 50 images made before; half of those shown to the discriminator come from here (Shrivastava et al.)."""

    def __init__(self) -> None:
        self.images: list[Tensor] = []

    def swap(self, made: Tensor, draws: torch.Generator) -> Tensor:
        shown = []
        for image in made.detach():
            if len(self.images) < POOL:
                self.images.append(image.clone())
                shown.append(image)
            elif float(torch.rand((), generator=draws)) < 0.5:
                at = int(torch.randint(0, POOL, (), generator=draws))
                shown.append(self.images[at])
                self.images[at] = image.clone()
            else:
                shown.append(image)
        return torch.stack(shown)


class RegganLearner(Learner):
    """R and G step jointly, then D on images made anew (NC+R) or drawn from a pool (other modes). R is not asked."""

    def __init__(self, sizes: RegganSizes, mode: RegganMode) -> None:
        self.mode = mode
        self.generator, self.judge = ResNetGenerator(sizes), PatchDiscriminator(sizes)
        self.parts = {"generator": self.generator, "judge": self.judge}
        if mode.registers:
            self.registration = self.parts["registration"] = RegistrationNetwork(sizes)
        if mode.cycle:
            self.back = self.parts["back"] = ResNetGenerator(sizes)
            self.back_judge = self.parts["back_judge"] = PatchDiscriminator(sizes)
        self.pools = {"ihc": ReplayPool(), "he": ReplayPool()}

    def optimise(self, learning_rate: float) -> None:
        made = [net for name, net in self.parts.items() if name in ("generator", "back")]
        groups: dict[str, list[nn.Module]] = {"generators": made, "judge": [self.judge]}
        if self.mode.registers:
            groups["registration"] = [self.registration]
        if self.mode.cycle:
            groups["back_judge"] = [self.back_judge]
        self.optimisers = {
            name: torch.optim.Adam(itertools.chain(*(net.parameters() for net in nets)), lr=learning_rate, betas=BETAS)
            for name, nets in groups.items()
        }

    def step(self, batch: Batch, draws: torch.Generator) -> Tensor:
        judges = [net for name, net in self.parts.items() if name.endswith("judge")]
        with frozen(judges):
            loss, fake, back = self._generate(batch)
            names = ["generators", "registration"] if self.mode.registers else ["generators"]
            update([self.optimisers[name] for name in names], loss)
        self._judge(self.judge, "judge", batch.ihc, self._shown(fake, batch.he, draws))
        if back is not None:
            self._judge(self.back_judge, "back_judge", batch.he, self.pools["he"].swap(back, draws))
        return loss.detach()

    def _generate(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor | None]:
        """Loss of generators and registration, the IHC made, and the H&E made (C)."""
        fake = self.generator(batch.he)
        loss = towards(self.judge(fake), 1.0) + self._correction(fake, batch.ihc)
        back = None
        if self.mode.cycle:
            back = self.back(batch.ihc)
            cycle = functional.l1_loss(self.back(fake), batch.he) + functional.l1_loss(self.generator(back), batch.ihc)
            loss = loss + towards(self.back_judge(back), 1.0) + CYCLE * cycle
        return loss, fake, back

    def _correction(self, fake: Tensor, real: Tensor) -> Tensor:
        if self.mode.registers:
            flow = self.registration(fake, real)
            return CORRECTION * functional.l1_loss(warp(fake, flow), real) + SMOOTHNESS * roughness(flow)
        return CORRECTION * functional.l1_loss(fake, real) if self.mode.corrects else fake.new_zeros(())

    def _shown(self, fake: Tensor, he: Tensor, draws: torch.Generator) -> Tensor:
        if self.mode.registers and not self.mode.cycle:
            with torch.no_grad():
                made: Tensor = self.generator(he)
            return made
        return self.pools["ihc"].swap(fake, draws)

    def _judge(self, judge: nn.Module, name: str, real: Tensor, fake: Tensor) -> None:
        update([self.optimisers[name]], towards(judge(fake), 0.0) + towards(judge(real), 1.0))

    def answer(self, he: Tensor, embedding: Tensor | None, noise: list[torch.Generator]) -> Tensor:  # noqa: ARG002
        image: Tensor = self.generator(he)
        return image

    def memory(self) -> dict[str, Tensor]:
        return {name: torch.stack(pool.images) for name, pool in self.pools.items() if pool.images}

    def remember(self, memory: dict[str, Tensor]) -> None:
        for name, images in memory.items():
            self.pools[name].images = list(images.unbind())


class Pix2pixLearner(Learner):
    """RegGAN's generator; a discriminator that sees the H&E beside the IHC; mean absolute error times 100."""

    def __init__(self, sizes: RegganSizes) -> None:
        self.generator, self.judge = ResNetGenerator(sizes), PatchDiscriminator(sizes, channels=6)
        self.parts = {"generator": self.generator, "judge": self.judge}

    def optimise(self, learning_rate: float) -> None:
        self.optimisers = {
            name: torch.optim.Adam(net.parameters(), lr=learning_rate, betas=BETAS) for name, net in self.parts.items()
        }

    def step(self, batch: Batch, draws: torch.Generator) -> Tensor:  # noqa: ARG002
        fake = self.generator(batch.he)
        with frozen([self.judge]):
            adversarial = towards(self.judge(torch.cat([batch.he, fake], dim=1)), 1.0)
            loss = adversarial + PIX2PIX_L1 * functional.l1_loss(fake, batch.ihc)
            update([self.optimisers["generator"]], loss)
        with torch.no_grad():
            fake = self.generator(batch.he)
        seen = self.judge(torch.cat([batch.he, fake], dim=1)), self.judge(torch.cat([batch.he, batch.ihc], dim=1))
        update([self.optimisers["judge"]], towards(seen[0], 0.0) + towards(seen[1], 1.0))
        return loss.detach()

    def answer(self, he: Tensor, embedding: Tensor | None, noise: list[torch.Generator]) -> Tensor:  # noqa: ARG002
        image: Tensor = self.generator(he)
        return image
