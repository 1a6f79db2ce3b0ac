"""Crops of stated micrometres around many centres, decoding every image tile once per pass.

Neighbouring crops overlap, so decoding per crop repeats the same tiles tens of times. A pass sorts the centres
by image tile instead, and sweeps a window of a few tile rows down the slide: a tile is decoded when the window
first needs it and dropped when the window has passed. Memory is the window, whatever the slide's size and the
number of centres; where two tile rows of a very wide slide would exceed ``window_bytes``, it is swept in stripes
(tiles on a stripe's border are then decoded for both).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from protocols.contract import CropArray, RowArray
from protocols.errors import UserError
from protocols.images.image import WHITE, SlideImage
from protocols.images.tiles import Level

Positions = NDArray[np.float64]


class TileCache(Protocol):
    """Decoded tiles kept between passes (see :class:`protocols.images.crops.RecentTiles`)."""

    def tile(self, level: Level, row: int, column: int) -> CropArray: ...


class NoCache:
    def tile(self, level: Level, row: int, column: int) -> CropArray:
        return level.decode(row, column)


@dataclass(frozen=True)
class _Boxes:
    """Corners of all crops in the level's pixels (``left, top``: may be negative) and the tiles they touch."""

    left: RowArray
    top: RowArray
    row0: RowArray
    row1: RowArray
    column0: RowArray
    column1: RowArray
    visible: NDArray[np.bool_]


class CropReader:
    """Square crops of ``crop_um`` micrometres, resampled to ``pixels × pixels``.

    They come from the coarsest level that is still at least as fine as the crop. A crop's side is rounded to
    whole pixels of that level and its corner to the nearest pixel, so a crop whose scale fits a level is copied
    without resampling; otherwise pixel area averaging shrinks it and bilinear interpolation enlarges it.
    Outside the image it is ``fill``. A crop's pixels depend on its own centre only, never on order or batch.
    """

    def __init__(
        self,
        image: SlideImage,
        crop_um: float,
        pixels: int,
        *,
        mpp: float | None = None,
        fill: int = WHITE,
        window_bytes: int = 256 << 20,
        cache: TileCache | None = None,
    ) -> None:
        mpp = image.mpp if mpp is None else mpp
        if mpp is None:
            raise UserError(
                "the image's mpp is unknown",
                where=image.path,
                expected="mpp above 0",
                remedy="state mpp for this slide",
            )
        if not (crop_um > 0 and pixels > 0 and mpp > 0):
            raise UserError(
                f"crop of {crop_um} µm in {pixels} px at {mpp} µm per px",
                where=image.path,
                expected="numbers above 0",
                remedy="correct the crop's settings",
            )
        self.image, self.pixels, self.fill = image, int(pixels), fill
        level = choose_level(image, crop_um / mpp, self.pixels)
        self.level = image.levels[level]
        self._scale = (image.width / self.level.width, image.height / self.level.height)
        self.side = max(1, round(crop_um / mpp / image.downsample(level)))
        self._window_bytes, self._cache = window_bytes, cache or NoCache()

    def read(self, xy_px: Positions) -> CropArray:
        """uint8 ``(k, p, p, 3)`` in the given order; ``xy_px`` ``(k, 2)`` are centres in level-0 pixels."""
        out = np.empty((len(xy_px), self.pixels, self.pixels, 3), np.uint8)
        for place, crop in self._sweep(xy_px):
            out[place] = crop
        return out

    def batches(self, xy_px: Positions, size: int) -> Iterator[tuple[RowArray, CropArray]]:
        """``(positions in xy_px, crops)`` in tile order, ``size`` at a time; every position occurs once."""
        total, done = len(xy_px), 0
        sweep = self._sweep(xy_px)
        while done < total:
            count = min(size, total - done)
            places = np.empty(count, np.int64)
            crops = np.empty((count, self.pixels, self.pixels, 3), np.uint8)
            for index in range(count):
                places[index], crops[index] = next(sweep)
            done += count
            yield places, crops

    def _sweep(self, xy_px: Positions) -> Iterator[tuple[int, CropArray]]:
        if not len(xy_px):
            return
        boxes = self._boxes(np.asarray(xy_px, np.float64))
        rows = int((boxes.row1 - boxes.row0).max()) + 1
        span = int((boxes.column1 - boxes.column0).max()) + 1
        tile_bytes = self.level.tile_width * self.level.tile_height * 3
        stripe = max(1, self._window_bytes // (tile_bytes * rows) - span + 1)
        stripes = boxes.column0 // stripe
        order = np.lexsort((boxes.column0, boxes.row0, stripes))
        keys = np.stack([stripes[order], boxes.row0[order]])
        starts = np.flatnonzero(np.r_[True, (np.diff(keys, axis=1) != 0).any(axis=0)])
        window, current = None, -1
        for members in np.split(order, starts[1:]):
            if window is None or stripes[members[0]] != current:
                current = int(stripes[members[0]])
                first = current * stripe
                window = _Window(
                    self.level, first, min(stripe + span - 1, self.level.columns - first), rows, self._cache
                )
            window.load(boxes, members)
            for index in members.tolist():
                yield index, self._crop(window, boxes, index)

    def _boxes(self, xy: Positions) -> _Boxes:
        grid, side = self.level, self.side
        if not np.isfinite(xy).all():
            raise UserError(
                "a crop's centre is not finite", where=self.image.path, expected="pixels", remedy="drop such units"
            )
        left = np.floor(xy[:, 0] / self._scale[0] - side / 2 + 0.5).astype(np.int64)
        top = np.floor(xy[:, 1] / self._scale[1] - side / 2 + 0.5).astype(np.int64)
        visible = (left < grid.width) & (top < grid.height) & (left + side > 0) & (top + side > 0)

        def tiles(start: RowArray, extent: int, tile: int) -> tuple[RowArray, RowArray]:
            first = np.where(visible, np.clip(start, 0, extent - 1) // tile, 0)
            return first, np.where(visible, np.clip(start + side - 1, 0, extent - 1) // tile, 0)

        return _Boxes(
            left, top, *tiles(top, grid.height, grid.tile_height), *tiles(left, grid.width, grid.tile_width), visible
        )

    def _crop(self, window: _Window, boxes: _Boxes, index: int) -> CropArray:
        side, grid = self.side, self.level
        x, y = int(boxes.left[index]), int(boxes.top[index])
        x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + side, grid.width), min(y + side, grid.height)
        if boxes.visible[index] and (x1 - x0, y1 - y0) == (side, side):
            crop = window.pixels(x0, y0, x1, y1)
        else:
            crop = np.full((side, side, 3), self.fill, np.uint8)
            if boxes.visible[index]:
                crop[y0 - y : y1 - y, x0 - x : x1 - x] = window.pixels(x0, y0, x1, y1)
        return resample(crop, self.pixels)


class _Window:
    """A few tile rows of one stripe, as one array, moving down; remembers which tiles it holds."""

    def __init__(self, level: Level, first: int, columns: int, rows: int, cache: TileCache) -> None:
        self._level, self._first, self._cache, self._top = level, first, cache, 0
        self._whole: CropArray | None = None
        self._single = level.columns == 1 and level.rows == 1
        self._have = np.zeros((rows, columns), bool)
        shape = (0, 0, 3) if self._single else (rows * level.tile_height, columns * level.tile_width, 3)
        self._pixels = np.empty(shape, np.uint8)

    def load(self, boxes: _Boxes, members: RowArray) -> None:
        """Make every tile that ``members`` (which share their first tile row) touch present."""
        members = members[boxes.visible[members]]
        if not len(members):
            return
        if self._single:
            self._whole = self._level.decode(0, 0) if self._whole is None else self._whole
            return
        self._move_to(int(boxes.row0[members[0]]))
        needed = np.zeros_like(self._have)
        rows = boxes.row1[members] - self._top
        column0, column1 = boxes.column0[members] - self._first, boxes.column1[members] - self._first
        for row, a, b in np.unique(np.stack([rows, column0, column1], axis=1), axis=0).tolist():
            needed[: row + 1, a : b + 1] = True
        for row, column in np.argwhere(needed & ~self._have).tolist():
            tile = self._cache.tile(self._level, self._top + row, self._first + column)
            self._slot(row, column)[: tile.shape[0], : tile.shape[1]] = tile
        self._have |= needed

    def pixels(self, x0: int, y0: int, x1: int, y1: int) -> CropArray:
        if self._whole is not None:
            return self._whole[y0:y1, x0:x1]
        dx, dy = self._first * self._level.tile_width, self._top * self._level.tile_height
        return self._pixels[y0 - dy : y1 - dy, x0 - dx : x1 - dx]

    def _slot(self, row: int, column: int) -> CropArray:
        height, width = self._level.tile_height, self._level.tile_width
        return self._pixels[row * height : (row + 1) * height, column * width : (column + 1) * width]

    def _move_to(self, top: int) -> None:
        shift = top - self._top
        if shift == 0:
            return
        kept = np.zeros_like(self._have)
        if shift < len(kept):
            kept[: len(kept) - shift] = self._have[shift:]
            for row, column in np.argwhere(kept).tolist():  # upwards, so no tile is overwritten before it moved
                self._slot(row, column)[:] = self._slot(row + shift, column)
        self._have, self._top = kept, top


def choose_level(image: SlideImage, side_px: float, pixels: int) -> int:
    """The coarsest level on which ``side_px`` level-0 pixels still hold at least ``pixels`` pixels (else 0).

    1 % of slack, because levels of odd sizes are rounded: a level that fits but for that is not passed over.
    """
    fitting = [
        index for index in range(len(image.levels)) if side_px / image.downsample(index) >= 0.99 * pixels or index == 0
    ]
    return max(fitting, key=image.downsample)


def resample(crop: CropArray, pixels: int) -> CropArray:
    """``crop`` ``(s, s, 3)`` as ``(pixels, pixels, 3)``: area averages when it shrinks, bilinear when it grows."""
    side = crop.shape[0]
    if side == pixels:
        return crop
    import cv2

    how = cv2.INTER_AREA if side > pixels else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(np.ascontiguousarray(crop), (pixels, pixels), interpolation=how), np.uint8)
