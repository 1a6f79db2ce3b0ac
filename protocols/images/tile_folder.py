"""A slide that is only a folder of tiles, one PNG or JPEG a unit, called as the unit: HEX's ``he_patches/{slide}``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from protocols.contract import CropArray, RowArray
from protocols.errors import UserError
from protocols.images.crop_reader import Positions, resample
from protocols.images.patch_images import SUFFIXES, decode, read_header


def tile_files(folder: Path) -> dict[str, Path]:
    """Every tile of a folder by its name without suffix; other files are passed over, folders are not looked into."""
    if not folder.is_dir():
        raise UserError(
            "the folder of tiles is missing", where=folder, expected="a folder of PNG tiles",
            remedy="correct the path or fetch it",
        )  # fmt: skip
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not found:
        raise UserError("no tile in it", where=folder, expected="PNG or JPEG tiles", remedy="name another folder")
    names = {path.stem: path for path in found}
    if len(names) != len(found):
        raise UserError(
            f"{len(found) - len(names)} tiles are there as PNG and as JPEG", where=folder, expected="one file a tile",
            remedy="remove one of each",
        )  # fmt: skip
    return names


def tile_side(files: list[Path]) -> int:
    """The side in pixels that all of them have, from their headers alone; else the first that has not."""
    side = 0
    for path in files:
        header = read_header(path)
        if header.problem is not None:
            raise UserError(header.problem, where=path, expected="an 8-bit RGB tile", remedy="fetch it again")
        side = side or header.width
        if not header.width == header.height == side:
            raise UserError(
                f"the tile is {header.width} × {header.height} px", where=path, expected=f"{side} × {side}",
                remedy="cut all tiles of a slide alike",
            )  # fmt: skip
    return side


def recognised_by(image: Path) -> Path:
    """The file that tells a slide from others: the image, or of a folder its largest tile (the one that shows most).

    Two copies of one slide's tiles under other names have the same largest tile.
    """
    if not image.is_dir():
        return image
    return min(tile_files(image).values(), key=lambda path: (-path.stat().st_size, path.name))


class TileFolder:
    """What :class:`TileReader` holds open, which is nothing; the same two members as an image."""

    resident_bytes = 0

    def __init__(self, path: Path) -> None:
        self.path = path

    def close(self) -> None:
        return


class TileReader:
    """Crops cut from the middle of tiles; they cannot be wider than the tiles are.

    ``centres`` ``(n, 2)`` are all of the slide's units in level-0 pixels, ``names`` ``(n,)`` what their tiles are
    called; ``mpp`` is that of the tiles' pixels.
    """

    def __init__(
        self, path: Path, crop_um: float, pixels: int, *, mpp: float, centres: Positions, names: NDArray[np.str_] | None
    ) -> None:
        files = tile_files(path)
        if names is None:
            raise UserError(
                "a folder of tiles was given for units without names", where=path, expected="a whole image",
                remedy="give the slide's image: tiles serve cohorts of tiles alone",
            )  # fmt: skip
        lost = [str(name) for name in names if str(name) not in files]
        if lost:
            raise UserError(
                f"{len(lost)} units have no tile, e.g. {lost[0]!r}", where=path, expected="one tile a unit",
                remedy="fetch the tiles again, or read the cohort anew",
            )  # fmt: skip
        self._side = tile_side([files[str(names[0])]]) if len(names) else pixels
        side_px = crop_um / mpp
        if side_px > self._side * 1.01:
            raise UserError(
                f"tiles show {self._side * mpp:.1f} µm, crops need {crop_um:g} µm", where=path,
                expected="tiles at least as wide as the crops",
                remedy="make the crops smaller or give the slide's whole image",
            )  # fmt: skip
        self.pixels = pixels
        self._margin = (self._side - min(self._side, max(1, round(side_px)))) // 2
        self._file = {tuple(xy): files[str(name)] for xy, name in zip(centres.tolist(), names, strict=True)}
        self.image = TileFolder(path)

    def read(self, xy_px: Positions) -> CropArray:
        out = np.empty((len(xy_px), self.pixels, self.pixels, 3), np.uint8)
        for place, xy in enumerate(np.asarray(xy_px, np.float64).tolist()):
            out[place] = self._crop(self._file[tuple(xy)])
        return out

    def batches(self, xy_px: Positions, size: int) -> Iterator[tuple[RowArray, CropArray]]:
        """In the order given: every tile is a file of its own."""
        for start in range(0, len(xy_px), size):
            places = np.arange(start, min(start + size, len(xy_px)), dtype=np.int64)
            yield places, self.read(np.asarray(xy_px)[places])

    def _crop(self, path: Path) -> CropArray:
        tile = decode(path)
        if tile.shape != (self._side, self._side, 3):
            raise UserError(
                f"the tile is {tile.shape[1]} × {tile.shape[0]} px", where=path,
                expected=f"{self._side} × {self._side}", remedy="cut all tiles of a slide alike",
            )  # fmt: skip
        m = self._margin
        return resample(tile[m : self._side - m, m : self._side - m], self.pixels)
