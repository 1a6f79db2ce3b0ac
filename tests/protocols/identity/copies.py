"""What somebody does to an image whose copy is not to be recognised, and images to do it to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import cv2
import numpy as np

from protocols.contract import CropArray
from protocols.phantom.ihc import reduced, region_he
from protocols.phantom.ihc_cells import on_glass, region_cells, regions_of
from protocols.phantom.ihc_settings import MINI_IHC

PLACES = [(row, column) for row in range(MINI_IHC.rows) for column in range(MINI_IHC.columns)]


def jpeg(image: CropArray, quality: int = 75) -> CropArray:
    told, data = cv2.imencode(".jpg", np.ascontiguousarray(image[:, :, ::-1]), [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert told
    return np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[:, :, ::-1])


def stain_shifted(image: CropArray) -> CropArray:
    return np.clip(image * np.array([1.05, 0.9, 1.0]) - 5, 0, 255).astype(np.uint8)


def scaled(image: CropArray, by: float = 1.1) -> CropArray:
    """Enlarged, and cropped to the size that it had."""
    height, width = image.shape[:2]
    large = cv2.resize(image, (round(width * by), round(height * by)), interpolation=cv2.INTER_CUBIC)
    top, left = (large.shape[0] - height) // 2, (large.shape[1] - width) // 2
    return np.ascontiguousarray(large[top : top + height, left : left + width])


KINDS: dict[str, Callable[[CropArray], CropArray]] = {
    "same bytes": lambda image: image,
    "jpeg 75": jpeg,
    "stain shift": stain_shifted,
    "quarter turn": lambda image: np.ascontiguousarray(np.rot90(image)),
    "mirror": lambda image: np.ascontiguousarray(image[:, ::-1]),
    "rolled": lambda image: np.roll(image, image.shape[1] // 4, axis=1),
    "scaled": scaled,
}
"""The seven kinds of the issue."""


@lru_cache
def patches(patients: int = 5) -> tuple[tuple[CropArray, ...], ...]:
    """H&E patches of the staining phantom, as JPEG: 96 px, ``PLACES``; each moved by half its side."""
    settings = replace(MINI_IHC, markers=(("ER", patients),))
    side, border = settings.patch_px, settings.border_px
    corners = [(border + row * side // 2, border + column * side // 2) for row, column in PLACES]
    regions = []
    for region in regions_of(settings, 0):
        cells = region_cells(settings, 0, region)
        axis = np.arange(settings.section.image_px) * settings.fine_mpp
        glass = on_glass(settings, 0, region, np.stack(np.meshgrid(axis, axis), axis=-1))
        drawn = reduced(settings, region_he(settings, 0, cells, glass))
        cut = [drawn[top : top + side, left : left + side] for top, left in corners]
        regions.append(tuple(jpeg(image, settings.jpeg_quality) for image in cut))
    return tuple(regions)
