"""Opening a slide's image, whatever its format, as a pyramid of levels of tiles."""

from __future__ import annotations

import math
import re
import struct
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from protocols.contract import CropArray
from protocols.errors import UserError
from protocols.images.tiles import BandLevel, Level, OpenSlideLevel, RasterLevel, TiffLevel, raster_size
from protocols.readers import checks

WHITE = 255
"""What lies outside the image. White is what a scanner sees without tissue, so a border crop stays a plausible
H&E crop; PAST's code pads with 0 (black), which no scanner produces and which a model can read as "border"."""

RASTER = {".jpg", ".jpeg", ".png"}
TIFF = {".tif", ".tiff", ".btf", ".svs"}
# Compressions and colour spaces of TIFF whose conversion to RGB is left to OpenSlide (Aperio's JPEG 2000 variants).
FOREIGN_COMPRESSION = {33003, 33005}
MICROMETRES = {"µm": 1.0, "μm": 1.0, "um": 1.0, "nm": 1e-3, "mm": 1e3, "cm": 1e4, "m": 1e6}


class SlideImage:
    """An H&E image. ``levels[0]`` is the finest; ``mpp`` is that of level 0, None where the file does not say."""

    def __init__(self, path: Path, levels: list[Level], mpp: float | None, close: Callable[[], None]) -> None:
        self.path, self.levels, self.mpp = path, levels, mpp
        self._close = weakref.finalize(self, close)  # also when the last user merely forgets the image
        self.width, self.height = levels[0].width, levels[0].height

    @property
    def level_sizes(self) -> tuple[tuple[int, int], ...]:
        return tuple((level.width, level.height) for level in self.levels)

    @property
    def resident_bytes(self) -> int:
        """Bytes of decoded pixels held while the image is open (JPEG and PNG only)."""
        return sum(level.resident_bytes for level in self.levels)

    def downsample(self, level: int) -> float:
        """Level-0 pixels per pixel of ``level``."""
        return (self.width / self.levels[level].width + self.height / self.levels[level].height) / 2

    def read_region(self, x: int, y: int, w: int, h: int, level: int = 0, fill: int = WHITE) -> CropArray:
        """uint8 ``(h, w, 3)`` RGB; ``x, y`` is the upper left corner in pixels of ``level``, not of level 0.

        Outside the image it is ``fill``.
        """
        grid = self.levels[level]
        out = np.full((h, w, 3), fill, np.uint8)
        x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + w, grid.width), min(y + h, grid.height)
        if x0 >= x1 or y0 >= y1:
            return out
        for row in range(y0 // grid.tile_height, (y1 - 1) // grid.tile_height + 1):
            for column in range(x0 // grid.tile_width, (x1 - 1) // grid.tile_width + 1):
                left, top = column * grid.tile_width, row * grid.tile_height
                a, b = max(x0, left), min(x1, left + grid.tile_width)
                c, d = max(y0, top), min(y1, top + grid.tile_height)
                out[c - y : d - y, a - x : b - x] = grid.decode(row, column)[c - top : d - top, a - left : b - left]
        return out

    def close(self) -> None:
        self._close()

    def __enter__(self) -> SlideImage:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_image(path: Path, backend: str = "auto") -> SlideImage:
    """Open by suffix: JPEG and PNG by OpenCV, TIFF and SVS by tifffile, everything else by OpenSlide.

    A TIFF that tifffile cannot turn into RGB goes to OpenSlide. ``backend`` "tifffile" or "openslide" forces one.
    """
    checks.require_file(path, "image")
    suffix = path.suffix.lower()
    if backend == "auto" and suffix in RASTER:
        return SlideImage(path, [RasterLevel(path, *raster_size(path))], None, lambda: None)
    if backend == "openslide" or (backend == "auto" and suffix not in TIFF):
        return _open_openslide(path)
    return _open_tiff(path, fall_back=backend == "auto")


def _open_openslide(path: Path) -> SlideImage:
    import openslide

    try:
        slide = openslide.OpenSlide(str(path))
    except openslide.OpenSlideUnsupportedFormatError as error:
        raise UserError(
            f"no image format that can be read ({path.suffix or 'no suffix'})",
            where=path,
            expected="TIFF, SVS, JPEG, PNG or a format of OpenSlide",
            remedy="convert the image to pyramidal OME-TIFF",
        ) from error
    except openslide.OpenSlideError as error:
        raise checks.damaged(path, "slide", error) from error
    levels: list[Level] = [OpenSlideLevel(path, slide, index) for index in range(slide.level_count)]
    mpp = slide.properties.get("openslide.mpp-x")
    return SlideImage(path, levels, _plausible(float(mpp)) if mpp else None, slide.close)


def _open_tiff(path: Path, *, fall_back: bool) -> SlideImage:
    import tifffile

    try:
        tiff = tifffile.TiffFile(path)
    except (tifffile.TiffFileError, struct.error, ValueError, IndexError, KeyError, OSError) as error:
        raise checks.damaged(path, "TIFF", error) from error
    try:
        levels = _tiff_levels(path, tiff)
        mpp = _tiff_mpp(tiff)
    except UserError as error:
        tiff.close()
        if fall_back and isinstance(error, _NotRgb):
            try:
                return _open_openslide(path)
            except UserError:
                raise error from None
        raise
    except (
        tifffile.TiffFileError,
        ElementTree.ParseError,
        struct.error,
        ValueError,
        IndexError,
        KeyError,
        OSError,
    ) as error:
        tiff.close()
        raise checks.damaged(path, "TIFF", error) from error
    return SlideImage(path, levels, mpp, tiff.close)


class _NotRgb(UserError):
    """A TIFF that tifffile alone does not turn into 8-bit RGB."""


def _tiff_levels(path: Path, tiff: Any) -> list[Level]:
    series = tiff.series[0]
    pyramid = list(series.levels)
    first = pyramid[0].keyframe
    stored = 1 + len(first.subifds or ())
    if len(pyramid) < stored:
        raise checks.damaged(path, "TIFF", ValueError(f"{len(pyramid)} of {stored} pyramid levels are readable"))
    if len(pyramid) == 1 and not tiff.is_svs:
        # Plain pyramids store their levels as further pages, which tifffile lists as series of their own.
        pyramid += [other for other in tiff.series[1:] if _is_reduction(series, other)]
    return [_tiff_level(path, tiff, level) for level in pyramid]


def _is_reduction(whole: Any, other: Any) -> bool:
    (w, h), (ow, oh) = _plane(whole), _plane(other)
    return other.dtype == whole.dtype and other.axes == whole.axes and 0 < ow < w and abs(ow / w / (oh / h) - 1) < 0.02


def _plane(series: Any) -> tuple[int, int]:
    sizes = dict(zip(series.axes, series.shape, strict=True))
    return int(sizes.get("X", 0)), max(int(sizes.get("Y", 0)), 1)


def _tiff_level(path: Path, tiff: Any, level: Any) -> Level:
    sizes = dict(zip(level.axes, level.shape, strict=True))
    page = level.keyframe
    colours = sizes.pop("S", None) or sizes.pop("C", 0)
    width, height = sizes.pop("X", 0), sizes.pop("Y", 0)
    if (
        colours not in (3, 4)
        or any(size != 1 for size in sizes.values())
        or level.dtype != np.uint8
        or int(page.compression) in FOREIGN_COMPRESSION
    ):
        raise _NotRgb(
            f"no 8-bit RGB image (axes {level.axes}, shape {level.shape}, {level.dtype})",
            where=path,
            expected="an H&E image with three 8-bit channels",
            remedy="name the H&E image, or convert it to 8-bit RGB OME-TIFF",
        )
    pages = [item for item in level.pages if item is not None]
    interleaved = page.samplesperpixel == colours and int(page.planarconfig) == 1
    one_piece = not page.is_tiled and int(page.compression) == 1 and page.is_contiguous
    if interleaved and one_piece:
        return BandLevel(path, tiff.filehandle, int(page.dataoffsets[0]), width, height, colours)
    return TiffLevel(path, tiff.filehandle, pages[:1] if page.samplesperpixel == colours else pages, width, height)


def _tiff_mpp(tiff: Any) -> float | None:
    if tiff.is_ome and tiff.ome_metadata:
        return _ome_mpp(tiff.ome_metadata)
    page = tiff.pages[0]
    if tiff.is_svs:
        match = re.search(r"\bMPP\s*=\s*([0-9.]+)", page.description or "")
        return _plausible(float(match.group(1))) if match else None
    unit = {2: 25_400.0, 3: 10_000.0}.get(int(getattr(page, "resolutionunit", 1) or 1))
    top, bottom = page.tags["XResolution"].value if "XResolution" in page.tags else (0, 1)
    return _plausible(unit * bottom / top) if unit and top else None


def _ome_mpp(xml: str) -> float | None:
    pixels = next((node for node in ElementTree.fromstring(xml).iter() if node.tag.endswith("}Pixels")), None)
    size = pixels.get("PhysicalSizeX") if pixels is not None else None
    if pixels is None or size is None:
        return None
    unit = MICROMETRES.get(pixels.get("PhysicalSizeXUnit", "µm"))
    return _plausible(float(size) * unit) if unit else None


def _plausible(mpp: float) -> float | None:
    """Screen resolutions (72 dpi: 353 µm) stand in many headers; no slide scanner writes above 50 µm or below 0.01."""
    return mpp if math.isfinite(mpp) and 0.01 < mpp < 50 else None
