"""A small picture of a whole slide image, to recognise it by."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from protocols.contract import CropArray
from protocols.images.image import SlideImage, open_image
from protocols.images.tiles import Level

LONGEST = 1024
"""Pixels of the longer side at most."""
LEAST = 48
"""Pixels of the shorter side below which nothing can be recognised."""
BLOCK_AREA = 1 << 24
"""Pixels of a level that are held at once (48 MB), or one of its tiles where that is larger."""


def overview(path: Path, mpp: float) -> CropArray | None:
    """The whole image at ``mpp`` µm a pixel, uint8 RGB; coarser where its longer side would exceed 1,024 px.

    An image that does not say its own resolution, or is coarser, is shrunk only where it is too long, and never
    enlarged. None where less than 48 px of it are left. It comes from the coarsest level that is as fine, averaged over
    areas in blocks: memory does not grow with the slide, but a slide without a pyramid is decoded whole, and a JPEG or
    PNG is held whole.
    """
    with open_image(path) as image:
        shrink = max(mpp / image.mpp if image.mpp else 1.0, max(image.width, image.height) / LONGEST, 1.0)
        width, height = round(image.width / shrink), round(image.height / shrink)
        return None if min(width, height) < LEAST else _shrunk(image, width, height)


def _shrunk(image: SlideImage, width: int, height: int) -> CropArray:
    import cv2

    fine = [at for at, level in enumerate(image.levels) if level.width >= width and level.height >= height]
    number = max(fine, default=0)
    level = image.levels[number]
    columns, rows = _edges(level, width, height)
    out = np.empty((height, width, 3), np.uint8)
    for top, bottom in rows:
        for left, right in columns:
            x0, x1 = (round(edge * level.width / width) for edge in (left, right))
            y0, y1 = (round(edge * level.height / height) for edge in (top, bottom))
            block = image.read_region(x0, y0, x1 - x0, y1 - y0, number)
            size = (right - left, bottom - top)
            out[top:bottom, left:right] = cv2.resize(block, size, interpolation=cv2.INTER_AREA)
    return out


def _edges(level: Level, width: int, height: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Blocks of the picture, as (from, to) along x and along y: near squares, but no narrower or lower than a tile."""
    wide = min(level.width, max(level.tile_width, int(BLOCK_AREA**0.5)))
    high = min(level.height, max(level.tile_height, BLOCK_AREA // wide))
    return _cut(width, wide * width / level.width), _cut(height, high * height / level.height)


def _cut(whole: int, step: float) -> list[tuple[int, int]]:
    step = max(1, int(step))
    return [(start, min(start + step, whole)) for start in range(0, whole, step)]
