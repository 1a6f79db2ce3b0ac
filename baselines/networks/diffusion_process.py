"""Noise schedules, the posterior, respacing, losses and ancestral sampling of improved diffusion.

Nichol and Dhariwal, ICML 2021; equations are theirs and those of Ho et al., NeurIPS 2020. Schedules are float64 NumPy
arrays of one value a step; images are in [-1, 1].
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Values = NDArray[np.float64]
ScheduleName = Literal["cosine", "linear"]
Variance = Literal["small", "large", "learned"]
"""Of a step back: that of the posterior, beta (the released default), or between the two, from the network."""
Target = Literal["noise", "image"]
"""What the network's output is: the noise (published), or the clean image (an option of the released code)."""
Denoiser = Callable[[Tensor, Tensor], Tensor]
"""Noisy image ``(n, 3, h, w)`` and time ``(n,)`` on the scale 0 to 1,000, to noise, or to noise and variance."""

LARGEST_BETA = 0.999
COSINE_OFFSET = 0.008


def betas_of(schedule: ScheduleName, steps: int) -> Values:
    """Variance added at every step: cosine (s = .008), or linear from 1e-4 to .02 scaled by 1,000 / steps."""
    if schedule == "linear":
        scale = 1000 / steps
        return np.asarray(np.minimum(np.linspace(1e-4 * scale, 0.02 * scale, steps), LARGEST_BETA))
    place = np.arange(steps + 1) / steps
    kept = np.cos((place + COSINE_OFFSET) / (1 + COSINE_OFFSET) * math.pi / 2) ** 2
    return np.asarray(np.minimum(1 - kept[1:] / kept[:-1], LARGEST_BETA))


def spaced(steps: int, wanted: int) -> NDArray[np.int64]:
    """``wanted`` of ``steps`` times, evenly spread, with the first and the last; all of them if that is fewer."""
    if wanted >= steps:
        return np.arange(steps)
    if wanted == 1:
        return np.array([steps - 1])  # one step must start where there is noise alone
    return np.round(np.linspace(0, steps - 1, wanted)).astype(np.int64)


@dataclass(frozen=True)
class Reading:
    """How the network's output is read."""

    variance: Variance = "small"
    predicts: Target = "noise"


PUBLISHED = Reading()


@dataclass(frozen=True)
class Process:
    """A chain of noise: ``betas`` and, of each step, the time that the network is told."""

    betas: Values
    times: Values

    @classmethod
    def of(cls, schedule: ScheduleName, steps: int) -> Process:
        return cls(betas_of(schedule, steps), np.arange(steps, dtype=np.float64) * (1000.0 / steps))

    def respaced(self, wanted: int) -> Process:
        """The same chain seen at fewer times: 1 - beta is the ratio of what is left of the image (improved, eq. 19)."""
        at = spaced(len(self.betas), wanted)
        left = self.kept[at]
        return Process(np.asarray(1 - left / np.append(1.0, left[:-1])), self.times[at])

    @property
    def kept(self) -> Values:
        """Alpha bar: the share of the image's variance that is left."""
        return np.asarray(np.cumprod(1 - self.betas))

    @property
    def kept_before(self) -> Values:
        return np.append(1.0, self.kept[:-1])

    @property
    def posterior_variance(self) -> Values:
        """Of q(x[t-1] | x[t], x[0]) (Ho et al., eq. 7); 0 at the first step."""
        return self.betas * (1 - self.kept_before) / (1 - self.kept)

    @property
    def posterior_weights(self) -> tuple[Values, Values]:
        """Weights of x[0] and of x[t] in the posterior's mean."""
        left, before = self.kept, self.kept_before
        return self.betas * np.sqrt(before) / (1 - left), (1 - before) * np.sqrt(1 - self.betas) / (1 - left)

    @property
    def log_variances(self) -> tuple[Values, Values]:
        """Logs of the smallest (posterior, whose first value takes the second's place) and the largest (beta)."""
        small = self.posterior_variance
        small[0] = small[1] if len(small) > 1 else self.betas[0]
        return np.log(small), np.log(self.betas)

    def fixed_log_variance(self, variance: Variance) -> Values:
        """Small: the posterior's. Large: beta, with the posterior's value at the first step."""
        small, large = self.log_variances
        return small if variance == "small" else np.append(small[0], large[1:])


def at(values: Values, t: Tensor, like: Tensor) -> Tensor:
    """``values[t]`` for each image, shaped to broadcast over ``like``."""
    picked = torch.from_numpy(values).to(like.device)[t].to(like.dtype)
    return picked.view(-1, *(1,) * (like.dim() - 1))


def noised(process: Process, image: Tensor, t: Tensor, noise: Tensor) -> Tensor:
    """A draw of q(x[t] | x[0])."""
    kept = process.kept
    return at(np.sqrt(kept), t, image) * image + at(np.sqrt(1 - kept), t, image) * noise


def image_from_noise(process: Process, noisy: Tensor, t: Tensor, noise: Tensor) -> Tensor:
    """x[0] from x[t] and its noise."""
    kept = process.kept
    return at(np.sqrt(1 / kept), t, noisy) * noisy - at(np.sqrt(1 / kept - 1), t, noisy) * noise


def step_back(
    process: Process, output: Tensor, noisy: Tensor, t: Tensor, reading: Reading, *, clip: bool
) -> tuple[Tensor, Tensor]:
    """Mean and log-variance of p(x[t-1] | x[t]) from the network's output; ``clip`` keeps x[0] within [-1, 1]."""
    small, large = process.log_variances
    if reading.variance == "learned":
        output, part = output.chunk(2, dim=1)
        share = (part + 1) / 2  # of the way from posterior to beta, in logs (improved, eq. 15)
        log_variance = share * at(large, t, noisy) + (1 - share) * at(small, t, noisy)
    else:
        log_variance = at(process.fixed_log_variance(reading.variance), t, noisy).expand_as(noisy)
    image = image_from_noise(process, noisy, t, output) if reading.predicts == "noise" else output
    of_image, of_noisy = process.posterior_weights
    image = image.clamp(-1, 1) if clip else image
    return at(of_image, t, noisy) * image + at(of_noisy, t, noisy) * noisy, log_variance


def training_loss(
    process: Process, denoiser: Denoiser, image: Tensor, t: Tensor, noise: Tensor, reading: Reading
) -> Tensor:
    """Mean squared error of the noise (or image); with a learned variance, plus the bound in bits times T / 1,000."""
    noisy = noised(process, image, t, noise)
    output = denoiser(noisy, at(process.times, t, noisy).flatten())
    aim = noise if reading.predicts == "noise" else image
    if reading.variance != "learned":
        return (output - aim).square().mean()
    guess, part = output.chunk(2, dim=1)
    frozen = torch.cat([guess.detach(), part], dim=1)  # the bound teaches the variance alone
    bound = bits(process, frozen, image, noisy, t, reading).mean() * (len(process.betas) / 1000)
    return (guess - aim).square().mean() + bound


def bits(process: Process, output: Tensor, image: Tensor, noisy: Tensor, t: Tensor, reading: Reading) -> Tensor:
    """One term of the variational bound, bits a value, ``(n,)``: KL to the posterior, at the first step the NLL."""
    mean, log_variance = step_back(process, output, noisy, t, reading, clip=False)
    of_image, of_noisy = process.posterior_weights
    true_mean = at(of_image, t, image) * image + at(of_noisy, t, image) * noisy
    kl = normal_kl(true_mean, at(process.log_variances[0], t, image), mean, log_variance)
    nll = -discretised_log_likelihood(image, mean, 0.5 * log_variance)
    each = torch.where((t == 0).view(-1, 1, 1, 1), nll, kl)
    return each.mean(dim=(1, 2, 3)) / math.log(2)


def normal_kl(mean: Tensor, log_variance: Tensor, other_mean: Tensor, other_log_variance: Tensor) -> Tensor:
    """KL(N(mean, .) || N(other mean, .)) in nats, element by element."""
    ratio = torch.exp(log_variance - other_log_variance)
    distance = (mean - other_mean).square() * torch.exp(-other_log_variance)
    return 0.5 * (other_log_variance - log_variance + ratio + distance - 1)


def discretised_log_likelihood(image: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """Log-probability of a value's 1/255-wide bin under a normal law; the outermost bins reach to infinity."""
    centred, inverse = image - mean, torch.exp(-log_scale)
    above = torch.special.ndtr(inverse * (centred + 1 / 255))
    below = torch.special.ndtr(inverse * (centred - 1 / 255))
    mass = torch.where(image < -0.999, above, torch.where(image > 0.999, 1 - below, above - below))
    return mass.clamp(min=1e-12).log()


@torch.no_grad()
def sample(
    process: Process,
    denoiser: Denoiser,
    draw: Callable[[], Tensor],
    reading: Reading = PUBLISHED,
) -> Tensor:
    """Ancestral sampling through every step of ``process``; ``draw`` gives the next standard normal image.

    The small variance is the default, since over few steps the large one leaves visible noise (improved, figure 8).
    """
    x = draw()
    for step in reversed(range(len(process.betas))):
        t = torch.full((len(x),), step, dtype=torch.long, device=x.device)
        output = denoiser(x, at(process.times, t, x).flatten())
        mean, log_variance = step_back(process, output, x, t, reading, clip=True)
        x = mean + torch.exp(0.5 * log_variance) * draw() if step else mean
    return x.clamp(-1, 1)
