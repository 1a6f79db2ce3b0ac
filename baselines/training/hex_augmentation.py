"""HEX's augmentation of training tiles: flips, a turn that leaves black corners, and a little colour.

As released: each flip with probability one half, a turn by any angle up to 90 degrees either way (nearest pixel, black
beyond the tile), then the resize, then brightness, contrast and saturation by up to 10 % and hue by up to 1 % of the
circle, in an order drawn for each tile. Colour is changed in floating point; the release rounds to 8 bits between.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from protocols.contract import CropArray

LARGEST_TURN = 90.0
BRIGHTNESS, CONTRAST, SATURATION, HUE = 0.1, 0.1, 0.1, 0.01
_GREY = (0.299, 0.587, 0.114)


def turned(crops: CropArray, order: torch.Generator) -> CropArray:
    """Flipped and turned copies of uint8 ``(k, p, p, 3)``; corners that the turn uncovers are 0."""
    flips = torch.rand((2, len(crops)), generator=order) < 0.5
    degrees = (2 * torch.rand(len(crops), generator=order) - 1) * LARGEST_TURN
    x = torch.from_numpy(np.ascontiguousarray(crops)).permute(0, 3, 1, 2)
    x = torch.where(flips[0, :, None, None, None], x.flip(-1), x)
    x = torch.where(flips[1, :, None, None, None], x.flip(-2), x)
    return np.ascontiguousarray(rotated(x, degrees).permute(0, 2, 3, 1).numpy())


def rotated(x: Tensor, degrees: Tensor) -> Tensor:
    """``(k, 3, p, p)`` uint8, each about its middle, counter-clockwise as it is seen; nearest pixel, 0 beyond."""
    angle = degrees * (math.pi / 180)
    cosine, sine, none = torch.cos(angle), torch.sin(angle), torch.zeros_like(angle)
    matrix = torch.stack([cosine, -sine, none, sine, cosine, none], dim=1).view(-1, 2, 3)
    grid = functional.affine_grid(matrix, list(x.shape), align_corners=False)
    moved = functional.grid_sample(x.float(), grid, mode="nearest", padding_mode="zeros", align_corners=False)
    return moved.to(torch.uint8)


def jittered(x: Tensor, order: torch.Generator) -> Tensor:
    """Colours of RGB in [0, 1], float32 ``(k, 3, p, p)``, moved; each tile by its own amounts in its own order."""
    amounts = 2 * torch.rand((4, len(x)), generator=order) - 1
    places = torch.rand((len(x), 4), generator=order).argsort(dim=1)
    changes: tuple[tuple[Callable[[Tensor, Tensor], Tensor], float], ...] = (
        (_brightness, BRIGHTNESS), (_contrast, CONTRAST), (_saturation, SATURATION), (_hue, HUE),
    )  # fmt: skip
    out = x.clone()
    for place in range(4):
        for number, (change, most) in enumerate(changes):
            at = (places[:, place] == number).to(x.device)
            if at.any():
                out[at] = change(out[at], (most * amounts[number]).to(x.device)[at].view(-1, 1, 1, 1))
    return out


def _brightness(x: Tensor, by: Tensor) -> Tensor:
    return (x * (1 + by)).clamp(0, 1)


def _contrast(x: Tensor, by: Tensor) -> Tensor:
    return _from(grey(x).mean(dim=(1, 2, 3), keepdim=True), x, by)


def _saturation(x: Tensor, by: Tensor) -> Tensor:
    return _from(grey(x), x, by)


def _from(middle: Tensor, x: Tensor, by: Tensor) -> Tensor:
    return (middle + (1 + by) * (x - middle)).clamp(0, 1)


def grey(x: Tensor) -> Tensor:
    """Luma, ``(k, 1, p, p)``."""
    return (x * torch.tensor(_GREY, device=x.device).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)


def _hue(x: Tensor, by: Tensor) -> Tensor:
    """The hue of HSV moved by ``by`` of the circle; value and saturation stay."""
    value, low = x.amax(dim=1), x.amin(dim=1)
    chroma = value - low
    safe = torch.where(chroma > 0, chroma, torch.ones_like(chroma))
    red, green, blue = x.unbind(dim=1)
    sixth = torch.where(
        value == red,
        (green - blue) / safe,
        torch.where(value == green, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    hue = 6 * torch.remainder(torch.where(chroma > 0, sixth, torch.zeros_like(sixth)) / 6 + by[:, 0], 1.0)
    channels = []
    for offset in (5, 3, 1):
        k = torch.remainder(offset + hue, 6)
        channels.append(value - chroma * torch.minimum(k, 4 - k).clamp(0, 1))
    return torch.stack(channels, dim=1)
