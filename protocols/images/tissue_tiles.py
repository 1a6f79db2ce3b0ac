"""Tiles over a slide's tissue: a grid of squares of a stated size in µm, kept where enough of it is tissue.

The mask is made on a low level of the pyramid, a band of rows at a time, so memory does not grow with the slide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from protocols.contract import CropArray
from protocols.errors import UserError, look_up
from protocols.images.image import SlideImage, open_image
from protocols.seeds import generator

TISSUE_SHARE = 0.5
"""Least share of a tile that must be tissue."""
SATURATION = 8 / 255
"""Saturation above which a pixel is tissue under the rule ``saturation`` (CLAM's default, 8 of 255)."""
MASK_PIXELS = 16
"""About so many mask pixels along a tile's side."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class TileTable:
    """``centres`` in level-0 pixels, float64 ``(n, 2)``, row by row; ``seen`` tiles in the grid, ``tissue`` of them."""

    centres: NDArray[np.float64]
    mpp: float
    seen: int
    tissue: int


def tile_slide(path: Path, *, um: float, tissue: str, max_tiles: int, seed: int, mpp: float | None = None) -> TileTable:
    """Tiles of ``um`` × ``um`` µm that lie wholly on the slide and are tissue by the named rule.

    More than ``max_tiles`` are thinned at random, by a draw that depends on the seed and the file's name alone.
    ``mpp`` overrides what the file says; a slide of unknown resolution, one smaller than a tile and one without
    tissue are :class:`UserError`.
    """
    rule = look_up(tissue, RULES, kind="tissue rule", where="tile.tissue")
    with open_image(path) as image:
        resolution = mpp or image.mpp
        if resolution is None:
            raise UserError(
                "the file does not say its resolution",
                where=path,
                expected="µm per pixel",
                remedy="give mpp in slides.csv",
            )
        side = um / resolution
        columns, rows = int(image.width / side), int(image.height / side)
        if not columns * rows:
            raise UserError(
                f"{image.width} x {image.height} pixels at {resolution:g} µm",
                where=path,
                expected=f"room for a tile of {um:g} µm",
                remedy="choose smaller tiles, or leave the slide out",
            )
        kept = rule(image, side, columns, rows)
    at = np.flatnonzero(kept)
    if not len(at):
        raise UserError(
            f"none of {columns * rows} tiles is tissue by the rule {tissue!r}",
            where=path,
            expected="tissue",
            remedy="look at the slide, choose another rule, or leave it out",
        )
    found = len(at)
    if found > max_tiles:
        at = np.sort(generator(seed, "tiles", path.name).choice(at, max_tiles, replace=False))
    centres = np.stack([(at % columns + 0.5) * side, (at // columns + 0.5) * side], axis=1)
    return TileTable(centres, float(resolution), columns * rows, found)


def _everything(_image: SlideImage, _side: float, columns: int, rows: int) -> Mask:
    return np.ones(columns * rows, dtype=bool)


def _by_saturation(image: SlideImage, side: float, columns: int, rows: int) -> Mask:
    bands = _bands(image, side, columns, rows)
    return np.concatenate([_shares(saturation(band) > SATURATION, columns) >= TISSUE_SHARE for band in bands])


def _by_otsu(image: SlideImage, side: float, columns: int, rows: int) -> Mask:
    """Saturation above Otsu's threshold over the whole slide (two passes over the mask level)."""
    from skimage.filters import threshold_otsu

    histogram = np.zeros(256, dtype=np.int64)
    for band in _bands(image, side, columns, rows):
        histogram += np.bincount((saturation(band) * 255).astype(np.int64).ravel(), minlength=256)
    if np.count_nonzero(histogram) < 2:
        return np.zeros(columns * rows, dtype=bool)  # one colour everywhere: no threshold, and no tissue
    otsu: Callable[..., float] = threshold_otsu
    threshold = float(otsu(hist=(histogram, np.arange(256)))) / 255
    bands = _bands(image, side, columns, rows)
    return np.concatenate([_shares(saturation(band) > threshold, columns) >= TISSUE_SHARE for band in bands])


def _by_sequoias_paper(image: SlideImage, side: float, columns: int, rows: int) -> Mask:
    from protocols.images.sequoia_tissue import sequoia_paper  # that module builds on this one

    return sequoia_paper(image, side, columns, rows)


def _by_sequoias_code(image: SlideImage, side: float, columns: int, rows: int) -> Mask:
    from protocols.images.sequoia_tissue import sequoia_released

    return sequoia_released(image, side, columns, rows)


RULES: dict[str, Callable[[SlideImage, float, int, int], Mask]] = {
    "saturation": _by_saturation,
    "otsu": _by_otsu,
    "sequoia_paper": _by_sequoias_paper,
    "sequoia_released": _by_sequoias_code,
    "all": _everything,
}


def saturation(rgb: CropArray) -> NDArray[np.float32]:
    """HSV saturation of uint8 RGB ``(…, 3)``, in [0, 1]; black has none."""
    highest, lowest = rgb.max(axis=-1).astype(np.float32), rgb.min(axis=-1).astype(np.float32)
    return np.asarray((highest - lowest) / np.maximum(highest, 1), dtype=np.float32)


def _bands(image: SlideImage, side: float, columns: int, rows: int) -> Iterator[CropArray]:
    """Each row of tiles on the mask's level: uint8 ``(height, width, 3)``, as wide as the grid."""
    level = max(
        (index for index in range(len(image.levels)) if side / image.downsample(index) >= MASK_PIXELS), default=0
    )
    pixels = side / image.downsample(level)
    for row in range(rows):
        top, bottom = round(row * pixels), max(round((row + 1) * pixels), round(row * pixels) + 1)
        yield image.read_region(0, top, round(columns * pixels), bottom - top, level)


def _shares(mask: Mask, columns: int) -> NDArray[np.float64]:
    """Share of tissue in each of ``columns`` equal parts of a band."""
    edges = np.round(np.linspace(0, mask.shape[1], columns + 1)).astype(int)
    return np.array([mask[:, left:right].mean() for left, right in pairwise(edges)])
