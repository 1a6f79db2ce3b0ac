"""Crops of a whole cohort: one source over many slides, of which only a few are open at a time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from protocols.contract import CropArray, RowArray
from protocols.errors import UserError
from protocols.images.crop_reader import CropReader, Positions
from protocols.images.image import WHITE, open_image
from protocols.images.patches import PatchReader
from protocols.images.tile_folder import TileReader
from protocols.images.tiles import Level

__all__ = ["CohortCrops", "CropReader", "RecentTiles"]


class RecentTiles:
    """The most recently used decoded tiles, up to ``limit`` bytes: random reads of small slides decode little twice."""

    def __init__(self, limit: int) -> None:
        self._limit, self._held = limit, 0
        self._tiles: OrderedDict[tuple[int, int, int], CropArray] = OrderedDict()

    def tile(self, level: Level, row: int, column: int) -> CropArray:
        key = (id(level), row, column)
        if key in self._tiles:
            self._tiles.move_to_end(key)
            return self._tiles[key]
        pixels = level.decode(row, column)
        self._tiles[key] = pixels
        self._held += pixels.nbytes
        while self._held > self._limit:
            self._held -= self._tiles.popitem(last=False)[1].nbytes
        return pixels

    def forget(self, level: Level) -> None:
        """Drop a closed level's tiles (its ``id`` may be given to another object)."""
        for key in [key for key in self._tiles if key[0] == id(level)]:
            self._held -= self._tiles.pop(key).nbytes


class CohortCrops:
    """Implements :class:`protocols.expression.views.CropSource`.

    ``slide_index`` ``(n,)`` numbers each row's slide, ``xy_px`` ``(n, 2)`` its centre in level-0 pixels, ``images``
    gives each slide's (image, HEST patches file or folder of tiles, mpp); ``names`` ``(n,)`` are each row's unit, which
    a folder of tiles is asked for. At most ``max_open`` slides are open, and fewer where
    their decoded JPEGs would exceed ``image_bytes``; ``tile_bytes`` of decoded tiles are kept between reads.
    """

    def __init__(
        self,
        slide_index: NDArray[np.integer],
        xy_px: Positions,
        images: Sequence[tuple[Path, float]],
        crop_um: float,
        pixels: int,
        *,
        names: NDArray[np.str_] | None = None,
        fill: int = WHITE,
        max_open: int = 8,
        image_bytes: int = 1536 << 20,
        tile_bytes: int = 256 << 20,
    ) -> None:
        self.pixels = pixels
        self._slide, self._xy = np.asarray(slide_index, np.int64), np.asarray(xy_px, np.float64)
        self._images, self._names = list(images), names
        if len(self._slide) != len(self._xy) or (len(slide_index) and not 0 <= self._slide.max() < len(images)):
            raise UserError(
                f"{len(self._slide)} rows, {len(self._xy)} centres, {len(images)} images",
                where="the crop source",
                expected="one centre and one known slide per row",
                remedy="build it from one cohort",
            )
        self._crop_um, self._fill = crop_um, fill
        self._max_open, self._image_bytes = max_open, image_bytes
        self._tiles = RecentTiles(tile_bytes)
        self._open: OrderedDict[int, CropReader | PatchReader | TileReader] = OrderedDict()

    def read(self, rows: RowArray) -> CropArray:
        """uint8 ``(k, p, p, 3)`` in the order of ``rows``."""
        rows = np.asarray(rows, np.int64)
        out = np.empty((len(rows), self.pixels, self.pixels, 3), np.uint8)
        for places, reader in self._by_slide(rows):
            out[places] = reader.read(self._xy[rows[places]])
        return out

    def batches(self, rows: RowArray, size: int) -> Iterator[tuple[RowArray, CropArray]]:
        """``(positions in rows, crops)``, slide by slide in tile order; every batch but the last has ``size``."""
        rows = np.asarray(rows, np.int64)
        places, crops = np.empty(size, np.int64), np.empty((size, self.pixels, self.pixels, 3), np.uint8)
        filled = 0
        for members, reader in self._by_slide(rows):
            for within, piece in reader.batches(self._xy[rows[members]], size):
                taken = 0
                while taken < len(within):
                    step = min(size - filled, len(within) - taken)
                    places[filled : filled + step] = members[within[taken : taken + step]]
                    crops[filled : filled + step] = piece[taken : taken + step]
                    filled, taken = filled + step, taken + step
                    if filled == size:
                        yield places, crops
                        places, crops, filled = np.empty_like(places), np.empty_like(crops), 0
        if filled:
            yield places[:filled], crops[:filled]

    def close(self) -> None:
        while self._open:
            self._close_oldest()

    def _by_slide(self, rows: RowArray) -> Iterator[tuple[RowArray, CropReader | PatchReader | TileReader]]:
        slides = self._slide[rows]
        for index in np.unique(slides).tolist():
            yield np.flatnonzero(slides == index), self._reader(index)

    def _reader(self, index: int) -> CropReader | PatchReader | TileReader:
        if index in self._open:
            self._open.move_to_end(index)
        else:
            path, mpp = self._images[index]
            while len(self._open) >= self._max_open or (
                self._open and sum(reader.image.resident_bytes for reader in self._open.values()) > self._image_bytes
            ):
                self._close_oldest()
            self._open[index] = self._opened(index, path, mpp)
        return self._open[index]

    def _opened(self, index: int, path: Path, mpp: float) -> CropReader | PatchReader | TileReader:
        if path.is_dir():
            own = self._slide == index
            names = None if self._names is None else self._names[own]
            return TileReader(path, self._crop_um, self.pixels, mpp=mpp, centres=self._xy[own], names=names)
        if path.suffix.lower() in {".h5", ".hdf5"}:
            centres = self._xy[self._slide == index]
            return PatchReader(path, self._crop_um, self.pixels, mpp=mpp, centres=centres)
        return CropReader(open_image(path), self._crop_um, self.pixels, mpp=mpp, fill=self._fill, cache=self._tiles)

    def _close_oldest(self) -> None:
        _, reader = self._open.popitem(last=False)
        if isinstance(reader, CropReader):
            for level in reader.image.levels:
                self._tiles.forget(level)
        reader.image.close()
