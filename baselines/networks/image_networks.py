"""What the virtual-staining networks share, and the plain U-Net regressor.

Images inside the networks are float32 ``(n, 3, h, w)`` in [-1, 1].
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

Modulate = Callable[[int, Tensor], Tensor]
"""``(stage, activations) -> activations``: what a condition does to a stage of the U-Net."""


@dataclass(frozen=True)
class UNetSizes:
    """Channels of the stages, finest first; each further stage halves the side."""

    widths: tuple[int, ...]


UNET_SIZES = {"full": UNetSizes((64, 128, 256, 512)), "mini": UNetSizes((8, 16, 32))}


def pad_to_multiple(x: Tensor, multiple: int) -> Tensor:
    """Right and bottom border added until both sides divide by ``multiple``: reflected, or repeated if too small."""
    height, width = x.shape[-2:]
    down, right = -height % multiple, -width % multiple
    if not (down or right):
        return x
    return functional.pad(x, (0, right, 0, down), mode="reflect" if down < height and right < width else "replicate")


def groups_of(channels: int, most: int = 32) -> int:
    """Number of groups of a group norm: at most ``most``, at least four channels each where that divides."""
    return next(groups for groups in range(min(most, max(channels // 4, 1)), 0, -1) if channels % groups == 0)


class ColourStart(nn.Module):
    """An affine map of colours, a buffer and not learned: where a residual network of our own starts from."""

    matrix: Tensor
    offset: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("matrix", torch.eye(3))
        self.register_buffer("offset", torch.zeros(3))

    def set(self, matrix: Tensor, offset: Tensor) -> None:
        self.matrix.copy_(matrix)
        self.offset.copy_(offset)

    def forward(self, image: Tensor) -> Tensor:
        return torch.einsum("oc,nchw->nohw", self.matrix, image) + self.offset[:, None, None]


class ConvBlock(nn.Module):
    """Twice: 3x3 convolution, group norm, SiLU."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(inside, outside, 3, padding=1, bias=False), nn.GroupNorm(groups_of(outside), outside), nn.SiLU(),
            nn.Conv2d(outside, outside, 3, padding=1, bias=False), nn.GroupNorm(groups_of(outside), outside), nn.SiLU(),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.layers(x)
        return found


class UNet(nn.Module):
    """H&E to IHC: encoder and decoder with skips, added to an affine map of the colours; the last layer starts at 0.

    Stages in order: encoder fine to coarse, then decoder coarse to fine; ``modulate`` is called after each of them.
    """

    def __init__(self, sizes: UNetSizes) -> None:
        super().__init__()
        widths = sizes.widths
        self.multiple = 2 ** (len(widths) - 1)
        self.stages = (*widths, *widths[-2::-1])
        """Channels of every stage."""
        self.colour = ColourStart()
        self.down = nn.ModuleList(ConvBlock(i, o) for i, o in zip((3, *widths), widths, strict=False))
        pairs = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.rise = nn.ModuleList(nn.Conv2d(coarse, fine, 1) for coarse, fine in pairs)
        self.up = nn.ModuleList(ConvBlock(2 * fine, fine) for _, fine in pairs)
        self.output = zeroed(nn.Conv2d(widths[0], 3, 3, padding=1))

    def forward(self, he: Tensor, modulate: Modulate | None = None) -> Tensor:
        height, width = he.shape[-2:]
        x = pad_to_multiple(he, self.multiple)
        start, skips, stage = self.colour(x), [], 0
        for block in self.down:
            x = block(functional.max_pool2d(x, 2) if stage else x)
            x = x if modulate is None else modulate(stage, x)
            skips.append(x)
            stage += 1
        for rise, block, skip in zip(self.rise, self.up, skips[-2::-1], strict=True):
            x = functional.interpolate(rise(x), scale_factor=2.0, mode="nearest")
            x = block(torch.cat([x, skip], dim=1))
            x = x if modulate is None else modulate(stage, x)
            stage += 1
        image: Tensor = start + self.output(x)
        return image[..., :height, :width]


def zeroed(layer: nn.Conv2d) -> nn.Conv2d:
    """The layer with weights and biases of zero."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def parameters_of(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
