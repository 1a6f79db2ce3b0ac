"""Windows over a field: where they lie, how they share it, and the slide's rows at the model's resolution."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.contract import CropArray
from protocols.errors import UserError
from protocols.images.crop_reader import choose_level
from protocols.images.image import WHITE, SlideImage

Float = NDArray[np.float64]
SAME_SCALE = 0.01
"""A level this near to the model's resolution is copied: scanners state 0.2498 or 0.2525 for "40x"."""


@dataclass(frozen=True, eq=False)
class Axis:
    """Windows along one side of the field. Every pixel's weights over the windows sum to 1.

    ``start (n,)`` are first pixels; ``weight (n, tile)``, float64. ``seams`` are the pixels at which the set or the
    turn of windows changes: where an eye would see a seam, in pixels between which and their predecessor it lies.
    """

    length: int
    tile: int
    start: tuple[int, ...]
    weight: Float
    seams: tuple[int, ...]


def lay_axis(length: int, tile: int, overlap: int, blending: str) -> Axis:
    """Windows ``tile - overlap`` apart; the last one is moved in, so that no window invents pixels beyond the field.

    "cosine": each window rises over its first ``overlap`` pixels as (1 - cos) / 2 and falls likewise, so two
    neighbours sum to 1; weights are normalised, which also settles the ends and more than two windows on one pixel.
    "none": each pixel belongs to one window, cut in the middle of the overlap.
    """
    step = tile - overlap
    last = max(length - tile, 0)
    start = (*range(0, last, step), last)
    cuts = [(left + tile + right) // 2 for left, right in pairwise(start)]
    at = np.arange(tile)
    if blending == "none":
        bounds = [0, *cuts, max(length, tile)]
        weight = np.array([(s + at >= a) & (s + at < b) for s, (a, b) in zip(start, pairwise(bounds), strict=True)])
        return Axis(length, tile, start, weight.astype(np.float64), tuple(cuts))
    rise = (1 - np.cos(np.pi * (at + 0.5) / max(overlap, 1))) / 2
    taper = np.where(at < overlap, rise, 1.0)
    taper = np.minimum(taper, taper[::-1])
    total = np.zeros(max(length, tile))
    for s in start:
        total[s : s + tile] += taper
    weight = np.array([taper / total[s : s + tile] for s in start])
    edges = {edge for left, right in pairwise(start) for edge in (right, left + tile)}
    return Axis(length, tile, start, weight, tuple(sorted(edge for edge in edges if 0 < edge < length)))


class FieldReader:
    """A slide at the model's resolution, read downwards in bands of rows.

    It reads the coarsest level that is at least as fine as the model (within 1 %, a level is copied as it is);
    otherwise each output pixel is the mean of the area it covers, or, on a slide coarser than the model, bilinear. The
    pixels do not depend on how the rows are cut into bands. ``mpp`` is what the output pixels really measure.
    """

    def __init__(self, image: SlideImage, mpp_model: float, tile: int, mpp: float | None = None) -> None:
        mpp = image.mpp if mpp is None else mpp
        if mpp is None:
            raise UserError(
                "the file does not say its resolution",
                where=image.path,
                expected="µm per pixel",
                remedy="state mpp for this slide",
            )
        if not (mpp > 0 and mpp_model > 0):
            raise UserError(
                f"{mpp} µm per pixel, a model of {mpp_model}",
                where=image.path,
                expected="numbers above 0",
                remedy="correct the mpp",
            )
        self.image = image
        self.index = choose_level(image, tile * mpp_model / mpp, tile)
        self.level = image.levels[self.index]
        native = mpp * image.downsample(self.index)
        self.copied = abs(mpp_model / native - 1) <= SAME_SCALE
        scale = 1.0 if self.copied else mpp_model / native
        self.width, self.height = (max(1, round(side / scale)) for side in (self.level.width, self.level.height))
        # The whole level becomes a whole number of pixels, so the true scale differs from the asked one by < 1 pixel.
        self.scale_x, self.scale_y = self.level.width / self.width, self.level.height / self.height
        self.mpp = native * self.scale_x
        self.level0_per_pixel = image.downsample(self.index) * self.scale_x
        self._columns = None if self.copied else axis_matrix(self.level.width, self.width, 0, self.width)[1]

    def rows(self, top: int, bottom: int) -> CropArray:
        """Rows ``top`` to ``bottom`` of the field, uint8 ``(bottom - top, width, 3)``."""
        wide = self.level.width
        if self._columns is None:
            return self.image.read_region(0, top, wide, bottom - top, self.index)
        out = np.empty((bottom - top, self.width, 3), np.uint8)
        first, matrix = axis_matrix(self.level.height, self.height, top, bottom)
        source = self.image.read_region(0, first, wide, matrix.shape[1], self.index)
        step = max(1, 2**22 // (wide * 3))  # rows at once as float32: memory follows the width alone
        for row in range(0, len(out), step):
            part = matrix[row : row + step]
            a, b = int(part.indices.min()), int(part.indices.max()) + 1
            mixed = part[:, a:b] @ source[a:b].reshape(b - a, -1).astype(np.float32)
            turned = mixed.reshape(-1, wide, 3).transpose(1, 0, 2).reshape(wide, -1)
            wanted = (self._columns @ turned).reshape(self.width, -1, 3).transpose(1, 0, 2)
            out[row : row + step] = np.rint(wanted)
        return out


def axis_matrix(source: int, target: int, top: int, bottom: int) -> tuple[int, Any]:
    """Weights of source pixels in target pixels ``top`` to ``bottom``: (first source pixel, sparse matrix).

    Shrinking takes the mean over each target pixel's extent, enlarging interpolates between pixel centres.
    """
    from scipy import sparse

    scale = source / target
    at = np.arange(top, bottom, dtype=np.float64)
    if scale >= 1:
        left, right = at * scale, np.minimum((at + 1) * scale, source)
    else:
        left = np.clip((at + 0.5) * scale - 0.5, 0, source - 1)
        right = left + 1
    taps = math.ceil(scale) + 1
    pixel = np.floor(left).astype(np.int64)[:, None] + np.arange(taps)
    weight = np.clip(np.minimum(pixel + 1, right[:, None]) - np.maximum(pixel, left[:, None]), 0, None)
    if scale < 1:
        weight = np.clip(1 - np.abs(pixel - left[:, None]), 0, None)
    pixel = np.minimum(pixel, source - 1)
    first, last = int(pixel[0, 0]), int(pixel[weight > 1e-12].max())
    kept = weight > 1e-12
    row = np.broadcast_to(np.arange(bottom - top)[:, None], pixel.shape)
    shape = (bottom - top, last - first + 1)
    matrix = sparse.csr_matrix((weight[kept], (row[kept], pixel[kept] - first)), shape=shape)
    return first, (sparse.diags_array(1 / np.asarray(matrix.sum(axis=1)).ravel()) @ matrix).tocsr().astype(np.float32)


def white_padded(rows: CropArray, height: int, width: int) -> CropArray:
    """At least ``height × width`` pixels: a field smaller than a window gets glass on its right and below."""
    if rows.shape[0] >= height and rows.shape[1] >= width:
        return rows
    out = np.full((max(height, rows.shape[0]), max(width, rows.shape[1]), 3), WHITE, np.uint8)
    out[: rows.shape[0], : rows.shape[1]] = rows
    return out
