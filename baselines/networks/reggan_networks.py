"""RegGAN's three networks (Kong et al., NeurIPS 2021, and the released code), for RGB.

Full sizes at 256 px: generator 11.38 M, discriminator 2.76 M, registration network 2.06 M parameters.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from baselines.networks.image_networks import pad_to_multiple
from protocols.errors import UserError

LEAK = 0.2


@dataclass(frozen=True)
class RegganSizes:
    """Generator: channels at full resolution and residual blocks. Discriminator: channels of its 4x4 layers.

    Registration: channels on the way down (each level halves the side) and residual blocks at the bottom.
    """

    width: int
    blocks: int
    discriminator: tuple[int, ...]
    registration: tuple[int, ...]
    registration_blocks: int


REGGAN_SIZES = {
    "full": RegganSizes(64, 9, (64, 128, 256, 512), (32, *(64,) * 6), 3),
    "mini": RegganSizes(8, 2, (8, 16, 32), (4, 8, 16, 16), 1),
}


class Residual(nn.Module):
    """Two 3x3 convolutions, borders reflected, with instance norm, ReLU between them, beside the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, padding_mode="reflect"), nn.InstanceNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, padding=1, padding_mode="reflect"), nn.InstanceNorm2d(width),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        added: Tensor = x + self.layers(x)
        return added


class ResNetGenerator(nn.Module):
    """7x7, two strided convolutions, residual blocks, two transposed convolutions, 7x7, tanh; instance norm, ReLU."""

    def __init__(self, sizes: RegganSizes) -> None:
        super().__init__()
        width = sizes.width
        self.layers = nn.Sequential(
            nn.Conv2d(3, width, 7, padding=3, padding_mode="reflect"), *_normed(width),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1), *_normed(2 * width),
            nn.Conv2d(2 * width, 4 * width, 3, stride=2, padding=1), *_normed(4 * width),
            *(Residual(4 * width) for _ in range(sizes.blocks)),
            nn.ConvTranspose2d(4 * width, 2 * width, 3, stride=2, padding=1, output_padding=1), *_normed(2 * width),
            nn.ConvTranspose2d(2 * width, width, 3, stride=2, padding=1, output_padding=1), *_normed(width),
            nn.Conv2d(width, 3, 7, padding=3, padding_mode="reflect"), nn.Tanh(),
        )  # fmt: skip

    def forward(self, image: Tensor) -> Tensor:
        height, width = image.shape[-2:]
        made: Tensor = self.layers(pad_to_multiple(image, 4))
        return made[..., :height, :width]


def _normed(width: int) -> Iterator[nn.Module]:
    return iter((nn.InstanceNorm2d(width), nn.ReLU(inplace=True)))


class PatchDiscriminator(nn.Module):
    """70x70 PatchGAN (at full size) whose map is averaged to one number an image, as RegGAN has it: ``(n,)``."""

    def __init__(self, sizes: RegganSizes, channels: int = 3) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        last = len(sizes.discriminator) - 1
        for level, width in enumerate(sizes.discriminator):
            layers.append(nn.Conv2d(channels, width, 4, stride=1 if level == last else 2, padding=1))
            if level:
                layers.append(nn.InstanceNorm2d(width))
            layers.append(nn.LeakyReLU(LEAK, inplace=True))
            channels = width
        self.layers = nn.Sequential(*layers, nn.Conv2d(channels, 1, 4, padding=1))

    def map(self, image: Tensor) -> Tensor:
        """Scores by place: ``(n, 1, 30, 30)`` of 256-px images at full size."""
        scores: Tensor = self.layers(image)
        return scores

    def forward(self, image: Tensor) -> Tensor:
        return self.map(image).mean(dim=(1, 2, 3))


class RegistrationNetwork(nn.Module):
    """Residual U-Net on (made, real) images to a displacement in pixels, ``(n, 2, h, w)``: rows (down), then columns.

    The side must be at least ``2 ** (levels + 1)``: 256 px at full size. Plain convolutions pad with zeros, residual
    blocks reflect. Weights start as released: Kaiming normal by the activation that follows (ReLU in residual blocks,
    leaky ReLU elsewhere), biases 0, and an output layer so near zero that the flow starts near none.
    """

    def __init__(self, sizes: RegganSizes) -> None:
        super().__init__()
        widths = sizes.registration
        bottom = widths[-1]
        self.down = nn.ModuleList(
            nn.Sequential(nn.Conv2d(inside, outside, 3, padding=1), nn.LeakyReLU(LEAK), Residual(outside))
            for inside, outside in zip((6, *widths), widths, strict=False)
        )
        self.bottom = nn.Sequential(
            nn.Conv2d(bottom, 2 * bottom, 1), nn.LeakyReLU(LEAK),
            *(Residual(2 * bottom) for _ in range(sizes.registration_blocks)),
            nn.Conv2d(2 * bottom, bottom, 1), nn.LeakyReLU(LEAK),
        )  # fmt: skip
        coming = (bottom, *widths[:0:-1])
        self.up = nn.ModuleList(
            nn.Sequential(nn.Conv2d(inside + skip, skip, 3, padding=1), nn.LeakyReLU(LEAK))
            for inside, skip in zip(coming, widths[::-1], strict=True)
        )
        self.refine = nn.Sequential(Residual(widths[0]), nn.Conv2d(widths[0], widths[0], 1), nn.LeakyReLU(LEAK))
        self.output = nn.Conv2d(widths[0], 2, 3, padding=1)
        self._start()

    def _start(self) -> None:
        in_residuals = {id(part) for block in self.modules() if isinstance(block, Residual) for part in block.modules()}
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                slope = 0.0 if id(layer) in in_residuals else LEAK
                nn.init.kaiming_normal_(layer.weight, a=slope, nonlinearity="leaky_relu")
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        nn.init.normal_(self.output.weight, 0.0, 1e-5)

    def forward(self, made: Tensor, real: Tensor) -> Tensor:
        x, least = torch.cat([made, real], dim=1), 2 ** (len(self.down) + 1)
        if min(x.shape[-2:]) < least:  # instance norm needs more than one place at the bottom
            raise UserError(
                f"images of {min(x.shape[-2:])} px", where="registration network", expected=f"at least {least} px",
                remedy="train on larger patches",
            )  # fmt: skip
        skips = []
        for block in self.down:
            x = block(x)
            skips.append(x)
            x = functional.max_pool2d(x, 2)
        x = self.bottom(x)
        for block, skip in zip(self.up, skips[::-1], strict=True):
            x = functional.interpolate(x, size=skip.shape[-2:], mode="bilinear", align_corners=False)
            x = block(torch.cat([x, skip], dim=1))
        x = self.refine(x).float()
        # Half precision would round the displacement itself.
        with torch.autocast("cuda", enabled=False) if x.is_cuda else nullcontext():
            flow: Tensor = self.output(x)
        return flow


def warp(image: Tensor, flow: Tensor) -> Tensor:
    """``image[row + flow[0], column + flow[1]]``, bilinear, border repeated: ``(n, c, h, w)`` by ``(n, 2, h, w)``."""
    height, width = image.shape[-2:]
    y = torch.arange(height, dtype=flow.dtype, device=flow.device)[:, None] + flow[:, 0]
    x = torch.arange(width, dtype=flow.dtype, device=flow.device)[None, :] + flow[:, 1]
    grid = torch.stack([2 * x / max(width - 1, 1) - 1, 2 * y / max(height - 1, 1) - 1], dim=-1)
    # Torch's kernel crashes on a grid that is not finite or huge; a diverged flow still shows in the loss.
    grid = torch.nan_to_num(grid).clamp(-1, 1)
    return functional.grid_sample(image.to(flow.dtype), grid, padding_mode="border", align_corners=True)


def roughness(flow: Tensor) -> Tensor:
    """Mean squared first difference down plus the one across (RegGAN's smoothness loss)."""
    down = (flow[:, :, 1:] - flow[:, :, :-1]).square().mean()
    across = (flow[..., 1:] - flow[..., :-1]).square().mean()
    return down + across
