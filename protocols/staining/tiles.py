"""Tiles of the model's size cut from patches when asked for; decoded patches are kept up to a number of bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from protocols.contract import CropArray, RowArray, TextArray
from protocols.errors import UserError
from protocols.images.patch_images import decode

CACHE_BYTES = 256 << 20
"""Nine patches of 3,000 px."""


@dataclass(frozen=True)
class TileSize:
    """A tile covers ``source`` pixels of the patch and is resampled by area to ``pixels``; both are sides."""

    pixels: int
    source: int

    def __post_init__(self) -> None:
        if not 0 < self.pixels <= self.source:
            raise UserError(
                f"tiles of {self.pixels} px from {self.source} px",
                where="the tiles of the cohort",
                expected="at least one pixel, and no enlargement (source_px at least tile_px)",
                remedy="correct tile_px or source_px",
            )


@dataclass(frozen=True, eq=False)
class Tiles:
    """Some tiles: row numbers of their patches in the store, and their place ``(n, 2)`` (row, column) in the grid."""

    patch: RowArray
    corner: NDArray[np.int64]
    name: TextArray

    def __len__(self) -> int:
        return len(self.patch)


def tile_corners(width: int, height: int, source_px: int) -> NDArray[np.int64]:
    """(tile row, tile column) of a patch's grid of tiles without overlap, from its upper left, ``(tiles, 2)``.

    What is left at the right and lower edge is narrower than a tile and not used.
    """
    rows, columns = height // source_px, width // source_px
    return np.stack(np.divmod(np.arange(rows * columns, dtype=np.int64), max(columns, 1)), axis=1)


def tiles_of(patch: str, width: int, height: int, size: TileSize) -> list[tuple[str, int, int]]:
    """(name, tile row, tile column) of every tile of a patch; a tile is called ``<patch>_<row>_<column>``."""
    return [(tile_name(patch, r, c), r, c) for r, c in tile_corners(width, height, size.source).tolist()]


def tile_name(patch: str, row: int, column: int) -> str:
    return f"{patch}_{row}_{column}"


class TileReader:
    """Tiles of one side (H&E or IHC) of some patches; it knows the files of that side alone.

    ``paths`` and ``sizes`` ``(width, height)`` are by patch, ``patch`` ``(n,)`` and ``corner`` ``(n, 2)`` by tile. At
    most ``cache_bytes`` of decoded patches are kept, the most recently used first, and always the one being cut.
    """

    def __init__(
        self,
        root: Path,
        paths: Sequence[str],
        sizes: Sequence[tuple[int, int]],
        patch: RowArray,
        corner: NDArray[np.int64],
        size: TileSize,
        *,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self._root, self._paths, self._sizes = root, tuple(paths), tuple(sizes)
        self._patch, self._corner, self._size = patch, corner, size
        self._limit, self._held = cache_bytes, 0
        self._decoded: OrderedDict[int, CropArray] = OrderedDict()
        self.decodes = 0

    @property
    def resident_bytes(self) -> int:
        return self._held

    def __call__(self, rows: RowArray) -> CropArray:
        """Tiles in the order of ``rows`` (places in this reader; they may repeat), uint8 ``(k, p, p, 3)``."""
        rows = np.asarray(rows, dtype=np.int64)
        if rows.ndim != 1 or (len(rows) and (rows.min() < 0 or rows.max() >= len(self._patch))):
            raise IndexError(f"rows outside 0 to {len(self._patch) - 1}, or not one-dimensional")
        out = np.empty((len(rows), self._size.pixels, self._size.pixels, 3), dtype=np.uint8)
        for place in np.argsort(self._patch[rows], kind="stable"):
            out[place] = self._cut(int(rows[place]))
        return out

    def _cut(self, tile: int) -> CropArray:
        side = self._size.source
        top, left = (int(step) * side for step in self._corner[tile])
        pixels = self._pixels(int(self._patch[tile]))[top : top + side, left : left + side]
        if self._size.pixels == side:
            return pixels
        import cv2

        shape = (self._size.pixels, self._size.pixels)
        return np.asarray(cv2.resize(pixels, shape, interpolation=cv2.INTER_AREA), dtype=np.uint8)

    def _pixels(self, patch: int) -> CropArray:
        if patch in self._decoded:
            self._decoded.move_to_end(patch)
            return self._decoded[patch]
        path = self._root / self._paths[patch]
        if not path.is_file():
            raise UserError(
                "the image is gone", where=path, expected="the cohort as it was read", remedy="restore it or read anew"
            )
        pixels = decode(path)
        self.decodes += 1
        width, height = self._sizes[patch]
        if pixels.shape[:2] != (height, width):
            raise UserError(
                f"{pixels.shape[1]} × {pixels.shape[0]} px",
                where=path,
                expected=f"{width} × {height} px as when the cohort was read",
                remedy="restore the image or read the cohort anew",
            )
        self._decoded[patch] = pixels
        self._held += pixels.nbytes
        while self._held > self._limit and len(self._decoded) > 1:
            self._held -= self._decoded.popitem(last=False)[1].nbytes
        return pixels
