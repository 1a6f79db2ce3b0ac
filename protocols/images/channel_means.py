"""Means of every channel of a multiplex image over a lattice, decoded a segment at a time: memory is one segment."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from protocols.errors import UserError
from protocols.readers import checks

BAND_BYTES = 2 << 20
"""Read together, in whole rows, from an uncompressed plane that is stored in one piece."""


@dataclass(frozen=True, eq=False)
class ChannelMeans:
    """``means`` float64 ``(rows, columns, channels)``; NaN nowhere but where an image of floats has it. ``names``: as
    the OME-XML has them, "" where it does not. ``size``: width and height of the finest level. ``dtype``: its numbers.
    """

    means: NDArray[np.float64]
    names: tuple[str, ...]
    size: tuple[int, int]
    dtype: str


def channel_means(path: Path, side: tuple[float, float], columns: int, rows: int) -> ChannelMeans:
    """Means over cells of ``side`` (x, y) pixels from the upper left corner; a pixel belongs where its centre lies.

    Axes C, Y, X in any order with T and Z of length 1; channels as pages, planes or samples. Other files are refused.
    """
    import tifffile

    checks.require_file(path, "codex")
    try:
        with tifffile.TiffFile(path) as tiff:
            return _of(tiff, path, side, columns, rows)
    except (tifffile.TiffFileError, ElementTree.ParseError, struct.error, ValueError, IndexError, KeyError, OSError,
            RuntimeError) as error:  # fmt: skip
        raise checks.damaged(path, "TIFF", error) from error


def plane_size(path: Path) -> tuple[int, int]:
    """Width and height of the finest level, from the header."""
    import tifffile

    checks.require_file(path, "codex")
    try:
        with tifffile.TiffFile(path) as tiff:
            key = tiff.series[0].levels[0].keyframe
            return int(key.imagewidth), int(key.imagelength)
    except (tifffile.TiffFileError, ElementTree.ParseError, struct.error, ValueError, IndexError, KeyError,
            OSError) as error:  # fmt: skip
        raise checks.damaged(path, "TIFF", error) from error


def _of(tiff: Any, path: Path, side: tuple[float, float], columns: int, rows: int) -> ChannelMeans:
    level = tiff.series[0].levels[0]
    sizes = dict(zip(level.axes, level.shape, strict=True))
    other = {axis: size for axis, size in sizes.items() if axis not in "CSYX" and size != 1}
    key, number = level.keyframe, int(sizes.get("C", 1)) * int(sizes.get("S", 1))
    pages = [page for page in level.pages if page is not None]
    if other or len(pages) * int(key.samplesperpixel) != number or np.dtype(level.dtype).kind not in "uif":
        raise UserError(
            f"axes {level.axes}, shape {level.shape}, {level.dtype}", where=path,
            expected="one plane a channel (C, Y, X) of numbers", remedy="write it as OME-TIFF with the channels in C",
        )  # fmt: skip
    width, height = int(key.imagewidth), int(key.imagelength)
    total, seen = np.zeros((rows, columns, number)), np.zeros((rows, columns))
    column_of, row_of = (_bins(extent, one, most) for extent, one, most in
                         ((width, side[0], columns), (height, side[1], rows)))  # fmt: skip
    np.add.at(seen, (row_of[row_of < rows][:, None], column_of[column_of < columns][None, :]), 1.0)
    samples = int(key.samplesperpixel)
    for place, page in enumerate(pages):
        for top, left, first, pixels in _segments(page):
            for sample in range(pixels.shape[2]):
                channel = place * samples + first + sample
                _add(total[..., channel], pixels[..., sample], row_of[top:], column_of[left:])
    with np.errstate(invalid="ignore"):
        return ChannelMeans(total / seen[..., None], _names(tiff, number), (width, height), str(level.dtype))


def _bins(extent: int, side: float, most: int) -> NDArray[np.int64]:
    """For every pixel its cell; ``most`` where it lies behind the last."""
    return np.minimum(((np.arange(extent) + 0.5) / side).astype(np.int64), most)


def _segments(page: Any) -> Iterator[tuple[int, int, int, NDArray[Any]]]:
    """``(top, left, first sample, pixels (h, w, samples))`` of every tile, strip or band, one at a time."""
    key = page.keyframe
    width, height, samples = int(key.imagewidth), int(key.imagelength), int(key.samplesperpixel)
    whole = not key.is_tiled and int(key.compression) == 1 and page.is_contiguous
    if whole and (samples == 1 or int(key.planarconfig) == 1):
        file, dtype = page.parent.filehandle, np.dtype(page.parent.byteorder + key.dtype.char)
        stride = width * samples * dtype.itemsize
        band = max(1, BAND_BYTES // stride)
        for top in range(0, height, band):
            count = min(band, height - top)
            file.seek(int(page.dataoffsets[0]) + top * stride)
            raw = file.read(count * stride)
            yield top, 0, 0, np.frombuffer(raw, dtype).reshape(count, width, samples)
        return
    for data, index, shape in page.segments(maxworkers=1):
        if data is None:  # never written: nothing was seen there
            continue
        sample, _, top, left, first = index
        yield top, left, sample + first, np.asarray(data)[0, : shape[1], : shape[2]]


def _add(
    total: NDArray[np.float64], pixels: NDArray[Any], row_of: NDArray[np.int64], column_of: NDArray[np.int64]
) -> None:
    """Add a piece's sums to the lattice's cells: along x, then along y."""
    rows, columns = row_of[: pixels.shape[0]], column_of[: pixels.shape[1]]
    high, wide = int((rows < total.shape[0]).sum()), int((columns < total.shape[1]).sum())
    if not (high and wide):
        return
    x0, y0 = (np.flatnonzero(np.r_[True, np.diff(one) != 0]) for one in (columns[:wide], rows[:high]))
    sums = np.add.reduceat(np.add.reduceat(pixels[:high, :wide], x0, axis=1, dtype=np.float64), y0, axis=0)
    total[np.ix_(rows[y0], columns[x0])] += sums


def _names(tiff: Any, number: int) -> tuple[str, ...]:
    if not (tiff.is_ome and tiff.ome_metadata):
        return ("",) * number
    nodes = list(ElementTree.fromstring(tiff.ome_metadata).iter())
    pixels = next((node for node in nodes if node.tag.endswith("}Pixels")), None)
    channels = [] if pixels is None else [node for node in pixels if node.tag.endswith("}Channel")]
    names = [str(node.get("Name") or "").strip() for node in channels]
    return tuple(names) if len(names) == number else ("",) * number
