"""Resizing as the published encoders were fed: 8-bit images, anti-aliased by Pillow, rounded to 8 bits again.

The same filter on float tensors differs by up to half a grey level, and by more where it overshoots; bilinear and
bicubic move features by 3 to 6e-3. Every encoder therefore states its own, and all resizing goes through here.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Filter = Literal["bilinear", "bicubic"]
Framing = Literal["squeeze", "crop", "whole"]
"""What becomes of an image that is not square: both sides become ``pixels``; the shorter one does and the middle is
cut out; or the shorter one does and the image stays oblong."""


def resized(images: NDArray[np.uint8], pixels: int, filter: Filter, framing: Framing = "squeeze") -> NDArray[np.uint8]:
    """Images ``(n, h, w, 3)`` at ``pixels``, uint8; one that has the size already comes back as it is."""
    height, width = target_size(images.shape[1], images.shape[2], pixels, framing)
    if (height, width) != images.shape[1:3]:
        images = _each(images, height, width, filter)
    if framing == "crop":
        top, left = round((height - pixels) / 2), round((width - pixels) / 2)
        images = images[:, top : top + pixels, left : left + pixels]
    return images


def target_size(height: int, width: int, pixels: int, framing: Framing) -> tuple[int, int]:
    """Height and width after resizing and before any cut."""
    if framing == "squeeze":
        return pixels, pixels
    shorter = min(height, width)
    return pixels * height // shorter, pixels * width // shorter


def _each(images: NDArray[np.uint8], height: int, width: int, filter: Filter) -> NDArray[np.uint8]:
    from PIL import Image

    kind = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}[filter]
    out = np.empty((len(images), height, width, 3), dtype=np.uint8)
    for i, image in enumerate(images):
        out[i] = np.asarray(Image.fromarray(np.ascontiguousarray(image)).resize((width, height), kind))
    return out
