"""A slide's image written as it comes, band by band, as pyramidal tiled OME-TIFF that QuPath and OpenSlide open.

Level 0 goes straight into the file; every lower level is the 2 x 2 mean of the one above it, made from the same bands
and spooled, already compressed, to an unnamed temporary file beside the output. What is held is two rows of tiles of
level 0, whatever the slide's height. Levels are SubIFDs (OME-TIFF 6.0); OpenSlide reads such a file as "generic-tiff"
and sees its level 0 alone. The bytes hold no date, and the UUID comes from the pixels: same slide, same file.
"""

from __future__ import annotations

import hashlib
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID
from xml.sax.saxutils import quoteattr

import numpy as np

from protocols.contract import CropArray
from protocols.errors import UserError, look_up
from protocols.files import written_whole

SUFFIXES = (".ome.tif", ".ome.tiff")
CLASSIC_BYTES = 2**32 - 2**25
"""Largest file with 32-bit offsets; the margin is for the directories."""
_NO_UUID = "00000000-0000-0000-0000-000000000000"
_SPACE = "http://www.openmicroscopy.org/Schemas/OME/2016-06"


@dataclass(frozen=True)
class PyramidFile:
    """What was written. ``level_sizes`` are (width, height), finest first."""

    path: Path
    level_sizes: tuple[tuple[int, int], ...]
    mpp: float
    bytes: int
    bigtiff: bool
    uuid: str


def write_pyramid(
    path: Path,
    bands: Iterable[CropArray],
    *,
    width: int,
    height: int,
    mpp: float,
    tile: int = 512,
    compression: str = "jpeg",
    quality: int = 90,
    levels: int | None = None,
    name: str = "",
    bigtiff: bool | None = None,
) -> PyramidFile:
    """Write ``bands``, uint8 RGB ``(rows, width, 3)`` from top to bottom and of any heights, ``height`` rows in all.

    ``levels`` counts the full size; by default it is halved until the image fits into one tile. ``compression`` is
    "jpeg" (YCbCr, 4:2:0, as scanners write) or "deflate" (lossless). ``bigtiff`` None decides by the most that the file
    can take, since the compressed size is unknown until it is too late. The file takes its place only when it is whole.
    """
    import tifffile

    encode, options = look_up(compression, _CODECS, kind="compression", where=path)(quality)
    _check(path, width, height, mpp, tile, quality)
    sizes = level_sizes(width, height, tile, levels)
    if bigtiff is None:
        # 1.5: noise at quality 100 takes a little more as JPEG than raw; what is wasted is 8 bytes a tile.
        padded = sum(-(-w // tile) * -(-h // tile) for w, h in sizes) * tile * tile * 3
        bigtiff = 1.5 * padded > CLASSIC_BYTES
    xml = _ome_xml(width, height, mpp, name or path.name)
    digest = hashlib.sha256(xml + f"{compression} {quality} {tile} {sizes}".encode())
    with written_whole(path) as part, ExitStack() as stack:
        spools = [_Spool(stack.enter_context(tempfile.TemporaryFile(dir=part.parent))) for _ in sizes[1:]]
        with tifffile.TiffWriter(part, ome=False, bigtiff=bigtiff) as tiff:
            for level, (w, h) in enumerate(sizes):
                tiles = (
                    spools[level - 1].tiles() if level else _pyramid(path, bands, sizes, tile, encode, spools, digest)
                )
                place = {"subfiletype": 1} if level else {"subifds": len(sizes) - 1, "description": xml}
                tiff.write(
                    tiles,
                    shape=(h, w, 3),
                    dtype=np.uint8,
                    tile=(tile, tile),
                    resolution=(1e4 / (mpp * 2**level),) * 2,
                    resolutionunit="CENTIMETER",
                    software=False,
                    metadata=None,
                    **place,
                    **options,
                )
        uuid = str(UUID(bytes=digest.digest()[:16], version=4))
        _set_uuid(part, uuid)
        written = part.stat().st_size
    return PyramidFile(path, tuple(sizes), mpp, written, bigtiff, uuid)


def level_sizes(width: int, height: int, tile: int, levels: int | None = None) -> list[tuple[int, int]]:
    """(width, height) of every level; an odd last row or column is dropped on the way down."""
    sizes = [(width, height)]
    while min(sizes[-1]) > 1 and (max(sizes[-1]) > tile if levels is None else len(sizes) < levels):
        sizes.append((sizes[-1][0] // 2, sizes[-1][1] // 2))
    return sizes


def _pyramid(
    path: Path,
    bands: Iterable[CropArray],
    sizes: list[tuple[int, int]],
    tile: int,
    encode: Callable[[CropArray], bytes],
    spools: list[_Spool],
    digest: Any,
) -> Iterator[bytes]:
    """Compressed tiles of level 0; those of the lower levels go to their spools on the way."""
    levels = [_TileRows(width, height, tile) for width, height in sizes]
    for band in bands:
        if band.ndim != 3 or band.shape[1:] != (sizes[0][0], 3) or band.dtype != np.uint8:
            raise ValueError(f"{path}: a band {band.shape} {band.dtype} is not uint8 (rows, {sizes[0][0]}, 3)")
        if len(band) > levels[0].missing:
            raise ValueError(f"{path}: {len(band) - levels[0].missing} rows too many")
        digest.update(np.ascontiguousarray(band))
        for row in levels[0].push(band):
            _spool_below(row, 1, levels, spools, encode)
            yield from map(encode, _split(row, tile))
    if levels[0].missing:
        raise ValueError(f"{path}: {levels[0].missing} of {sizes[0][1]} rows are missing")


def _spool_below(
    row: CropArray, level: int, levels: list[_TileRows], spools: list[_Spool], encode: Callable[[CropArray], bytes]
) -> None:
    """Halve a row of tiles into the next level, and what that completes into the one after it."""
    if level == len(levels):
        return
    for lower in levels[level].push(halved(row)):
        for data in map(encode, _split(lower, levels[level].tile)):
            spools[level - 1].add(data)
        _spool_below(lower, level + 1, levels, spools, encode)


class _TileRows:
    """Gathers bands of one level into rows of tiles (all ``tile`` high, the last may be lower)."""

    def __init__(self, width: int, height: int, tile: int) -> None:
        self.tile, self.missing = tile, height
        self._rows = np.empty((min(tile, height), width, 3), np.uint8)
        self._filled = 0

    def push(self, band: CropArray) -> Iterator[CropArray]:
        """Rows of tiles that ``band`` completes; each is overwritten by the next. An odd row too many is dropped."""
        wide = self._rows.shape[1]
        at = 0
        while at < len(band) and self.missing:
            take = min(len(band) - at, len(self._rows) - self._filled, self.missing)
            self._rows[self._filled : self._filled + take] = band[at : at + take, :wide]
            self._filled, self.missing, at = self._filled + take, self.missing - take, at + take
            if self._filled == len(self._rows) or not self.missing:
                yield self._rows[: self._filled]
                self._filled = 0


class _Spool:
    """Compressed tiles of a level in a file without a name, which the system removes whatever happens."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def add(self, data: bytes) -> None:
        self._file.write(struct.pack("<Q", len(data)))
        self._file.write(data)

    def tiles(self) -> Iterator[bytes]:
        self._file.seek(0)
        while head := self._file.read(8):
            yield self._file.read(struct.unpack("<Q", head)[0])


def halved(rows: CropArray) -> CropArray:
    """Mean of 2 x 2 pixels, rounded half up; an odd last row or column is dropped."""
    height, width = rows.shape[0] // 2 * 2, rows.shape[1] // 2 * 2
    total = rows[0:height:2, 0:width:2].astype(np.uint16)
    for dy, dx in ((0, 1), (1, 0), (1, 1)):
        total += rows[dy:height:2, dx:width:2]
    total += 2
    total >>= 2
    return total.astype(np.uint8)


def _split(row: CropArray, tile: int) -> Iterator[CropArray]:
    """Square tiles of a row. What lies beyond the image repeats its edge, so no colour bleeds in from outside."""
    for left in range(0, row.shape[1], tile):
        piece = row[:, left : left + tile]
        below, right = tile - piece.shape[0], tile - piece.shape[1]
        yield np.ascontiguousarray(
            np.pad(piece, ((0, below), (0, right), (0, 0)), mode="edge") if below or right else piece
        )


def _jpeg(quality: int) -> tuple[Callable[[CropArray], bytes], dict[str, Any]]:
    from imagecodecs import jpeg_encode

    def encode(tile: CropArray) -> bytes:
        return bytes(jpeg_encode(tile, level=quality, colorspace="RGB", outcolorspace="YCBCR", subsampling="420"))

    return encode, {"photometric": "ycbcr", "subsampling": (2, 2), "compression": "jpeg"}


def _deflate(_quality: int) -> tuple[Callable[[CropArray], bytes], dict[str, Any]]:
    return lambda tile: zlib.compress(tile, 6), {"photometric": "rgb", "compression": "zlib"}


_CODECS = {"jpeg": _jpeg, "deflate": _deflate}


def _check(path: Path, width: int, height: int, mpp: float, tile: int, quality: int) -> None:
    if not path.name.lower().endswith(SUFFIXES):
        raise UserError(
            f"the name {path.name!r}",
            where=path,
            expected=f"a name ending in {SUFFIXES[0]}",
            remedy="rename the output",
        )
    if tile < 16 or tile % 16:
        raise UserError(f"tiles of {tile} px", where=path, expected="a multiple of 16", remedy="use 256 or 512")
    if not 1 <= quality <= 100:
        raise UserError(f"JPEG quality {quality}", where=path, expected="1 to 100", remedy="use 80 to 95")
    if width < 1 or height < 1 or not mpp > 0:
        raise UserError(
            f"{width} x {height} px at {mpp} µm", where=path, expected="numbers above 0", remedy="check the slide"
        )


def _ome_xml(width: int, height: int, mpp: float, name: str) -> bytes:
    """Metadata of one RGB image after the OME schema of June 2016, with room for the UUID."""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><OME xmlns="{_SPACE}" '
        f'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="{_SPACE} {_SPACE}/ome.xsd" '
        f'UUID="urn:uuid:{_NO_UUID}" Creator="slide2omics"><Image ID="Image:0" Name={quoteattr(name)}>'
        f'<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" SizeX="{width}" SizeY="{height}" SizeC="3" '
        f'SizeZ="1" SizeT="1" Interleaved="true" PhysicalSizeX="{float(mpp)!r}" PhysicalSizeXUnit="µm" '
        f'PhysicalSizeY="{float(mpp)!r}" PhysicalSizeYUnit="µm"><Channel ID="Channel:0:0" SamplesPerPixel="3"/>'
        '<TiffData IFD="0" PlaneCount="1"/></Pixels></Image></OME>'
    ).encode()


def _set_uuid(path: Path, uuid: str) -> None:
    """The description stands before the pixels, the pixels decide the UUID: it is put in afterwards."""
    import tifffile

    with tifffile.TiffFile(path) as tiff:
        tag = tiff.pages.first.tags["ImageDescription"]
        start, length = int(tag.valueoffset), int(tag.count)
    with path.open("r+b") as file:
        file.seek(start)
        at = file.read(length).index(_NO_UUID.encode())
        file.seek(start + at)
        file.write(uuid.encode())
