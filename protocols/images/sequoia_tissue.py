"""SEQUOIA's two background rules, of its paper and of its released code, which keep different tiles.

Paper (Methods, preprocessing of whole-slide images): Otsu's mask; tiles with more than 20 % background and tiles of low
contrast are left out. Released code (``patch_gen_hdf5``): a tile stays if the slide's mask holds its *upper left pixel*
and a mask of its own covers *more than 20 %*, so up to 80 % of it may be background.

Both find the slide's threshold in a first pass and keep a band of rows in memory, never the slide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from protocols.contract import CropArray
from protocols.images.image import SlideImage
from protocols.images.tissue_tiles import MASK_PIXELS, Mask

PAPER_BACKGROUND = 0.2
"""Largest share of background that the paper allows."""
RELEASED_TISSUE = 0.2
"""Share of tissue that the released code wants exceeded."""
DARKEST = 50
"""The released code takes a pixel with a channel of this or less for ink, shadow or a fold."""
REACH = 3
"""Steps of dilation and of erosion, with SciPy's cross, as released."""
CONTRAST = 0.05
"""Least range of grey (1st to 99th percentile, of the full range): scikit-image's default, which the code uses."""
BAND_ROWS = 256
RUN = 16
"""Neighbouring tiles read at once at full resolution."""

Thresholds = NDArray[np.uint8]
"""Otsu's thresholds of red, green, blue and saturation, ``(4,)``, each of 0 to 255."""


def sequoia_paper(image: SlideImage, side: float, columns: int, rows: int) -> Mask:
    """Tiles with at most 20 % background and some contrast, bool ``(columns * rows,)``.

    The paper names neither the channel nor the resolution of Otsu's mask. Here it is saturation (as in the released
    code) on 16 x 16 averaged pixels a tile, 8 µm each for its 128 µm, whatever levels the file has: at full resolution
    the gaps between cells count as background. Coloured ink is tissue; the paper has no rule for pens.
    """
    histogram = sum((histograms(band)[3] for band in _small_bands(image, side, columns, rows)), np.zeros(256, np.int64))
    threshold = otsu(histogram)
    kept = np.zeros((rows, columns), dtype=bool)
    for row, band in enumerate(_small_bands(image, side, columns, rows)):
        tiles = band.reshape(MASK_PIXELS, columns, MASK_PIXELS, 3).swapaxes(0, 1)
        tissue = (channels(tiles)[..., 3] > threshold).mean(axis=(1, 2))
        for column in np.flatnonzero(tissue >= 1 - PAPER_BACKGROUND):
            kept[row, column] = not low_contrast(tiles[column])
    return kept.ravel()


def sequoia_released(image: SlideImage, side: float, columns: int, rows: int) -> Mask:
    """Tiles as the released code keeps them, bool ``(columns * rows,)``.

    The mask of a tile is its own, with thresholds of its own, and is made at full resolution for the tiles that the
    slide's mask lets through: its dilation is of three pixels, which mean another area on any other level. The slide's
    mask is eroded from beyond the image's border inwards, so **no tile of the first row or column is ever kept**. It is
    of the coarsest level with 16 pixels a tile; the released code's, of the coarsest there is.
    """
    level = _mask_level(image, side)
    limits = slide_thresholds(image, level)
    across, down = _edges(columns, side), _edges(rows, side)
    kept = np.zeros((rows, columns), dtype=bool)
    for row, (top, bottom) in enumerate(pairwise(down)):
        candidates = np.flatnonzero(_corners(image, level, limits, top, across[:-1]))
        for run in _runs(candidates):
            left = across[run[0]]
            band = image.read_region(left, top, across[run[-1] + 1] - left, bottom - top)
            for column in run:
                tile = band[:, across[column] - left : across[column + 1] - left]
                kept[row, column] = own_share(tile) > RELEASED_TISSUE and not low_contrast(tile)
    return kept.ravel()


def tissue_mask(rgb: CropArray, limits: Thresholds) -> Mask:
    """Saturated, not bright in all of red, green and blue, and not dark in any: bool ``(h, w)`` of uint8 RGB."""
    above = channels(rgb) > limits
    bright = above[..., 0] & above[..., 1] & above[..., 2]
    dark = np.minimum(np.minimum(rgb[..., 0], rgb[..., 1]), rgb[..., 2]) <= DARKEST
    return np.asarray(above[..., 3] & ~bright & ~dark)


def own_share(tile: CropArray) -> float:
    """Share of a tile that its own mask, dilated, covers."""
    from scipy.ndimage import binary_dilation

    limits = np.array([otsu(histogram) for histogram in histograms(tile)], dtype=np.uint8)
    return float(binary_dilation(tissue_mask(tile, limits), iterations=REACH).mean())


def low_contrast(tile: CropArray) -> bool:
    """Whether the grey of a tile spans less than a twentieth of the full range (1st to 99th percentile)."""
    from skimage.exposure import is_low_contrast

    judge: Callable[..., bool] = is_low_contrast
    return bool(judge(tile, fraction_threshold=CONTRAST))


def channels(rgb: CropArray) -> NDArray[np.uint8]:
    """Red, green, blue and HSV saturation (rounded), uint8 ``(…, 4)``."""
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    highest = np.maximum(np.maximum(red, green), blue)  # plane by plane: many times faster than along a short axis
    range_ = (highest - np.minimum(np.minimum(red, green), blue)).astype(np.float32)
    out = np.empty((*rgb.shape[:-1], 4), dtype=np.uint8)
    out[..., :3] = rgb
    out[..., 3] = np.rint(range_ / np.maximum(highest, 1) * 255)
    return out


def histograms(rgb: CropArray) -> NDArray[np.int64]:
    """Counts of each value in each of :func:`channels`, ``(4, 256)``."""
    values = channels(rgb).reshape(-1, 4)
    return np.stack([np.bincount(values[:, channel], minlength=256) for channel in range(4)])


def otsu(histogram: NDArray[np.int64]) -> int:
    """Otsu's threshold of 256 counts; values above it are the upper class. One value alone is its own threshold."""
    from skimage.filters import threshold_otsu

    found = np.flatnonzero(histogram)
    if len(found) == 1:
        return int(found[0])
    threshold: Callable[..., float] = threshold_otsu
    return int(threshold(hist=(histogram, np.arange(256))))


def slide_thresholds(image: SlideImage, level: int) -> Thresholds:
    """Otsu's thresholds over all pixels of a level, band by band; bands follow the file's own tiles."""
    grid = image.levels[level]
    step = grid.tile_height * max(BAND_ROWS // grid.tile_height, 1)
    total = np.zeros((4, 256), dtype=np.int64)
    for top in range(0, grid.height, step):
        total += histograms(image.read_region(0, top, grid.width, min(step, grid.height - top), level))
    return np.array([otsu(histogram) for histogram in total], dtype=np.uint8)


def _small_bands(image: SlideImage, side: float, columns: int, rows: int) -> Iterator[CropArray]:
    """Each row of tiles, 16 averaged pixels a tile: uint8 ``(16, 16 * columns, 3)``."""
    import cv2

    level = _mask_level(image, side)
    pixels = side / image.downsample(level)
    width = max(round(columns * pixels), 1)
    for row in range(rows):
        top = round(row * pixels)
        band = image.read_region(0, top, width, max(round((row + 1) * pixels) - top, 1), level)
        size = (columns * MASK_PIXELS, MASK_PIXELS)
        yield np.asarray(cv2.resize(band, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _corners(image: SlideImage, level: int, limits: Thresholds, top: int, lefts: list[int]) -> Mask:
    """Whether the slide's mask, dilated and eroded, holds the pixels ``(left, top)``, which are of level 0."""
    from scipy.ndimage import binary_dilation, binary_erosion

    grid = image.levels[level]
    y = min(int(top * grid.height / image.height), grid.height - 1)
    x = np.minimum((np.array(lefts) * grid.width / image.width).astype(int), grid.width - 1)
    # A pixel of the closed mask depends on no row farther than both reaches; only the image's own border is a border.
    first, last = max(y - 2 * REACH, 0), min(y + 2 * REACH + 1, grid.height)
    mask = tissue_mask(image.read_region(0, first, grid.width, last - first, level), limits)
    closed = binary_erosion(binary_dilation(mask, iterations=REACH), iterations=REACH)
    return np.asarray(closed[y - first, x], dtype=bool)


def _mask_level(image: SlideImage, side: float) -> int:
    """The coarsest level on which a tile still has about 16 pixels along its side; the finest if none has."""
    fitting = (level for level in range(len(image.levels)) if side / image.downsample(level) >= MASK_PIXELS)
    return max(fitting, default=0)


def _edges(count: int, pixels: float) -> list[int]:
    return [round(at * pixels) for at in range(count + 1)]


def _runs(columns: NDArray[np.intp]) -> Iterator[list[int]]:
    """Columns in groups of neighbours, at most :data:`RUN` a group."""
    group: list[int] = []
    for column in columns.tolist():
        if group and (column != group[-1] + 1 or len(group) == RUN):
            yield group
            group = []
        group.append(column)
    if group:
        yield group
