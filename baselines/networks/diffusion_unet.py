"""The U-Net of improved diffusion (Nichol and Dhariwal, ICML 2021, and the released code), told the H&E by channels.

At 256 px, width 128: 124.1 M parameters. Its super-resolution form joins a condition to the noisy image as further
input channels; a condition of the same size makes it a translator of images.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from baselines.networks.image_networks import groups_of, pad_to_multiple, zeroed


@dataclass(frozen=True)
class DiffusionSizes:
    """``multiples`` of ``width`` are the levels' channels; ``attention``: levels (0: finest) that attend."""

    width: int
    multiples: tuple[int, ...]
    blocks: int
    attention: tuple[int, ...]
    heads: int


DIFFUSION_SIZES = {
    "full": DiffusionSizes(128, (1, 1, 2, 2, 4, 4), 2, (4, 5), 4),  # 16 and 8 px of 256
    "mini": DiffusionSizes(8, (1, 2, 2), 1, (), 1),
}


def time_embedding(t: Tensor, width: int) -> Tensor:
    """Cosines, then sines, of ``t`` at frequencies from 1 down to nearly 1/10,000: ``(n, width)``."""
    half = width // 2
    rates = torch.exp(-math.log(10_000) * torch.arange(half, dtype=torch.float32, device=t.device) / half)
    angle = t.float()[:, None] * rates
    both = torch.cat([angle.cos(), angle.sin()], dim=1)
    return functional.pad(both, (0, width - 2 * half))


def norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(32 if channels % 32 == 0 else groups_of(channels), channels)


class TimedResidual(nn.Module):
    """Norm, SiLU, convolution; norm scaled and shifted by the time; SiLU, convolution that starts at 0; a residual."""

    def __init__(self, inside: int, outside: int, time: int) -> None:
        super().__init__()
        self.enter = nn.Sequential(norm(inside), nn.SiLU(), nn.Conv2d(inside, outside, 3, padding=1))
        self.time = nn.Sequential(nn.SiLU(), nn.Linear(time, 2 * outside))
        self.norm = norm(outside)
        self.leave = nn.Sequential(nn.SiLU(), zeroed(nn.Conv2d(outside, outside, 3, padding=1)))
        self.skip = nn.Identity() if inside == outside else nn.Conv2d(inside, outside, 1)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        scale, shift = self.time(time)[:, :, None, None].chunk(2, dim=1)
        added: Tensor = self.skip(x) + self.leave(self.norm(self.enter(x)) * (1 + scale) + shift)
        return added


class Attention(nn.Module):
    """Multi-head self-attention over the places of a feature map; its last layer starts at 0."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = norm(channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = zeroed(nn.Conv2d(channels, channels, 1))

    def forward(self, x: Tensor, _: Tensor) -> Tensor:
        n, channels, height, width = x.shape
        parts = self.qkv(self.norm(x)).reshape(n, 3, self.heads, channels // self.heads, height * width)
        query, key, value = (part.transpose(-1, -2) for part in parts.unbind(dim=1))
        mixed = functional.scaled_dot_product_attention(query, key, value)
        added: Tensor = x + self.out(mixed.transpose(-1, -2).reshape(n, channels, height, width))
        return added


class Downward(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor, _: Tensor) -> Tensor:
        smaller: Tensor = self.convolution(x)
        return smaller


class Upward(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor, _: Tensor) -> Tensor:
        larger: Tensor = self.convolution(functional.interpolate(x, scale_factor=2.0, mode="nearest"))
        return larger


class DiffusionUNet(nn.Module):
    """Noisy image, condition and time to the predicted noise ``(n, 3, h, w)``, or ``(n, 6, h, w)`` with a variance.

    ``t`` is on the scale 0 to 1,000 whatever the number of steps.
    """

    def __init__(self, sizes: DiffusionSizes, *, learned_sigma: bool = False) -> None:
        super().__init__()
        self.width, self.multiple = sizes.width, 2 ** (len(sizes.multiples) - 1)
        time = 4 * sizes.width
        self.time = nn.Sequential(nn.Linear(sizes.width, time), nn.SiLU(), nn.Linear(time, time))
        channels = sizes.width
        self.enter = nn.Conv2d(6, channels, 3, padding=1)
        self.down, self.up, kept = nn.ModuleList(), nn.ModuleList(), [channels]
        for level, times in enumerate(sizes.multiples):
            for _ in range(sizes.blocks):
                self.down.append(_stage(channels, times * sizes.width, time, sizes, level))
                channels = times * sizes.width
                kept.append(channels)
            if level < len(sizes.multiples) - 1:
                self.down.append(nn.ModuleList([Downward(channels)]))
                kept.append(channels)
        self.middle = nn.ModuleList(
            (
                TimedResidual(channels, channels, time),
                Attention(channels, sizes.heads),
                TimedResidual(channels, channels, time),
            )
        )
        for level, times in reversed(list(enumerate(sizes.multiples))):
            for block in range(sizes.blocks + 1):
                stage = _stage(channels + kept.pop(), times * sizes.width, time, sizes, level)
                channels = times * sizes.width
                if level and block == sizes.blocks:
                    stage.append(Upward(channels))
                self.up.append(stage)
        out = nn.Conv2d(channels, 6 if learned_sigma else 3, 3, padding=1)
        self.leave = nn.Sequential(norm(channels), nn.SiLU(), zeroed(out))

    def forward(self, noisy: Tensor, condition: Tensor, t: Tensor) -> Tensor:
        height, width = noisy.shape[-2:]
        time = self.time(time_embedding(t, self.width))
        x = self.enter(pad_to_multiple(torch.cat([noisy, condition], dim=1), self.multiple))
        kept = [x]
        for stage in self.down:
            x = _run(stage, x, time)
            kept.append(x)
        x = _run(self.middle, x, time)
        for stage in self.up:
            x = _run(stage, torch.cat([x, kept.pop()], dim=1), time)
        noise: Tensor = self.leave(x)
        return noise[..., :height, :width]


def _stage(inside: int, outside: int, time: int, sizes: DiffusionSizes, level: int) -> nn.ModuleList:
    layers: list[nn.Module] = [TimedResidual(inside, outside, time)]
    if level in sizes.attention:
        layers.append(Attention(outside, sizes.heads))
    return nn.ModuleList(layers)


def _run(stage: nn.Module, x: Tensor, time: Tensor) -> Tensor:
    for layer in stage.children():
        x = layer(x, time)
    return x
