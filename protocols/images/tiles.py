"""One level of one image as a grid of separately decodable tiles, for every kind of file we open.

A level's *tile* is whatever the file lets us decode alone: a TIFF tile, a strip, a band of rows of an
uncompressed image, or a whole JPEG.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from protocols.contract import CropArray
from protocols.errors import UserError
from protocols.readers import checks

BAND_ROWS = 256
"""Rows decoded together from an uncompressed image that is stored in one piece."""


class Level:
    """``width × height`` pixels in ``rows × columns`` tiles; subclasses decode one tile as uint8 ``(h, w, 3)``.

    Tiles of the last row and column may be larger than the image (TIFF) or smaller; readers clip to the level.
    """

    def __init__(self, path: Path, width: int, height: int, tile_width: int, tile_height: int) -> None:
        self.path, self.width, self.height = path, width, height
        self.tile_width, self.tile_height = tile_width, tile_height
        self.columns, self.rows = math.ceil(width / tile_width), math.ceil(height / tile_height)
        self.resident_bytes = 0

    def decode(self, row: int, column: int) -> CropArray:
        raise NotImplementedError


class TiffLevel(Level):
    """Tiles or strips of a TIFF, decoded one at a time by tifffile; planes may be interleaved or separate."""

    def __init__(self, path: Path, file: Any, pages: list[Any], width: int, height: int) -> None:
        self._file, self._pages, self._key = file, pages, pages[0].keyframe
        key = self._key
        tile_width = key.tilewidth if key.is_tiled else width
        tile_height = key.tilelength if key.is_tiled else min(key.rowsperstrip or height, height)
        super().__init__(path, width, height, tile_width, tile_height)
        self._planes = key.samplesperpixel if int(key.planarconfig) == 2 else len(pages)
        self._check_extent()

    def _check_extent(self) -> None:
        """A truncated file is found here, before a single pixel is decoded."""
        size = self.path.stat().st_size
        needed = self.rows * self.columns * (self._planes if len(self._pages) == 1 else 1)
        for page in self._pages:
            offsets, counts = np.array(page.dataoffsets), np.array(page.databytecounts)
            if len(offsets) < needed or len(counts) < needed or int((offsets + counts).max(initial=0)) > size:
                raise checks.damaged(self.path, "TIFF", ValueError(f"tiles lie beyond its {size:,} bytes"))

    def decode(self, row: int, column: int) -> CropArray:
        index = row * self.columns + column
        if self._planes == 1:
            return self._segment(self._pages[0], index)[:, :, :3]
        if len(self._pages) > 1:
            return np.concatenate([self._segment(page, index) for page in self._pages[:3]], axis=2)
        step = self.rows * self.columns
        return np.concatenate([self._segment(self._pages[0], index + plane * step) for plane in range(3)], axis=2)

    def _segment(self, page: Any, index: int) -> CropArray:
        offset, length = page.dataoffsets[index], page.databytecounts[index]
        if length == 0:  # a sparse tile: nothing was scanned there
            samples = self._key.samplesperpixel if self._planes == 1 else 1
            return np.full((self.tile_height, self.tile_width, samples), 255, np.uint8)
        tables = page.jpegtables  # before seek: tifffile may itself move in the file to answer
        self._file.seek(offset)
        raw = self._file.read(length)
        try:
            data, _, shape = self._key.decode(raw, index, jpegtables=tables)
        except Exception as error:  # codecs raise whatever they like; each means that these bytes are no tile
            raise checks.damaged(self.path, "TIFF", error) from error
        return np.asarray(data).reshape(-1, *np.asarray(data).shape[-2:])[: shape[1]]


class BandLevel(Level):
    """An uncompressed interleaved image stored in one piece, read in bands of rows instead of all at once."""

    def __init__(self, path: Path, file: Any, offset: int, width: int, height: int, samples: int) -> None:
        super().__init__(path, width, height, width, min(BAND_ROWS, height))
        self._file, self._offset, self._samples = file, offset, samples
        if offset + width * height * samples > path.stat().st_size:
            raise checks.damaged(path, "TIFF", ValueError("pixels lie beyond its end"))

    def decode(self, row: int, column: int) -> CropArray:
        del column
        start, stop = row * self.tile_height, min((row + 1) * self.tile_height, self.height)
        stride = self.width * self._samples
        self._file.seek(self._offset + start * stride)
        data = np.frombuffer(self._file.read((stop - start) * stride), np.uint8)
        return data.reshape(stop - start, self.width, self._samples)[:, :, :3]


class OpenSlideLevel(Level):
    """A level that OpenSlide decodes; its transparent (never scanned) pixels become white."""

    def __init__(self, path: Path, slide: Any, index: int) -> None:
        width, height = slide.level_dimensions[index]
        size = slide.properties.get
        tile_width = int(size(f"openslide.level[{index}].tile-width", 512))
        tile_height = int(size(f"openslide.level[{index}].tile-height", 512))
        super().__init__(path, width, height, min(tile_width, width), min(tile_height, height))
        self._slide, self._index, self._scale = slide, index, slide.level_downsamples[index]

    def decode(self, row: int, column: int) -> CropArray:
        import openslide

        x, y = column * self.tile_width, row * self.tile_height
        size = (min(self.tile_width, self.width - x), min(self.tile_height, self.height - y))
        corner = (round(x * self._scale), round(y * self._scale))
        try:
            rgba = np.asarray(self._slide.read_region(corner, self._index, size))
        except openslide.OpenSlideError as error:
            raise checks.damaged(self.path, "slide", error) from error
        return np.where(rgba[:, :, 3:] == 0, np.uint8(255), rgba[:, :, :3])


class RasterLevel(Level):
    """A JPEG or PNG: one tile, decoded once and kept while the image is open."""

    def __init__(self, path: Path, width: int, height: int) -> None:
        super().__init__(path, width, height, width, height)
        self._pixels: CropArray | None = None

    def decode(self, row: int, column: int) -> CropArray:
        del row, column
        if self._pixels is None:
            import cv2

            # Stored pixels, whatever the EXIF orientation says: spot tables count pixels as they are stored.
            bgr = cv2.imread(str(self.path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
            if bgr is None:
                raise checks.damaged(self.path, "image", ValueError("it does not decode"))
            self._pixels = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB, dst=bgr), np.uint8)
            self.resident_bytes = self._pixels.nbytes
        return self._pixels


def raster_size(path: Path) -> tuple[int, int]:
    """(width, height) of a JPEG or PNG, from its header; its end mark must be there too."""
    from PIL import Image, UnidentifiedImageError

    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # only the header is read
    try:
        with Image.open(path) as image:
            size, kind = image.size, image.format
    except (UnidentifiedImageError, OSError, ValueError) as error:
        raise checks.damaged(path, "image", error) from error
    finally:
        Image.MAX_IMAGE_PIXELS = limit
    if kind not in {"JPEG", "PNG"}:
        raise UserError(f"a {kind} file", where=path, expected="JPEG, PNG or TIFF", remedy="convert the image")
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 4096))
        if (b"\xff\xd9" if kind == "JPEG" else b"IEND") not in file.read():
            raise checks.damaged(path, str(kind), ValueError("its end mark is missing"))
    return size
