"""RegGAN's misalignment of training pairs: each image is turned, scaled and shifted by draws of its own.

Kong et al., NeurIPS 2021, section 4; the released configuration has noise level 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

SHARE = 0.02
"""Of the side that an image is shifted by at most, and of its size that it is scaled by, for each noise level."""


@dataclass(frozen=True)
class Affine:
    """``angle`` in degrees, clockwise; ``columns`` and ``rows``: whole pixels to the right and down; ``scale``."""

    angle: float
    columns: int
    rows: int
    scale: float


def drawn(level: float, width: int, height: int, draws: torch.Generator) -> Affine:
    """Uniform: angle within ±level degrees, shifts within ±2 % of the side, scale within 1 ± 2 %, for each level."""
    angle, across, down, scale = (2 * torch.rand(4, generator=draws, dtype=torch.float64) - 1).tolist()
    reach = SHARE * level
    return Affine(angle * level, round(across * reach * width), round(down * reach * height), 1 + scale * reach)


def moved(image: NDArray[Any], affine: Affine, fill: float = 0.0) -> NDArray[Any]:
    """The image about its centre, nearest neighbour: uint8 ``(h, w, 3)`` or float32 ``(h, w)``; ``fill`` comes in."""
    height, width = image.shape[:2]
    centre_x, centre_y = width / 2, height / 2
    turn = math.radians(affine.angle)
    cosine, sine = math.cos(turn) / affine.scale, math.sin(turn) / affine.scale
    # The way back, from a place in the answer to its place in the image.
    from_x, from_y = -centre_x - affine.columns, -centre_y - affine.rows
    back = (
        cosine, sine, cosine * from_x + sine * from_y + centre_x,
        -sine, cosine, -sine * from_x + cosine * from_y + centre_y,
    )  # fmt: skip
    colour: Any = (int(fill),) * 3 if image.ndim == 3 else fill
    picture = Image.fromarray(np.ascontiguousarray(image))
    changed = picture.transform(
        (width, height), Image.Transform.AFFINE, back, Image.Resampling.NEAREST, fillcolor=colour
    )
    return np.asarray(changed)


def misaligned(image: NDArray[Any], level: float, draws: torch.Generator) -> NDArray[Any]:
    """An RGB image moved by a draw; what comes in at its border is black, -1 in the networks' range, as released."""
    return moved(image, drawn(level, image.shape[1], image.shape[0], draws))
