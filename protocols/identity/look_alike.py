"""Copies of an image among images of other owners: re-encoded, re-stained, turned, mirrored, shifted, rescaled.
TODO numbers
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.contract import CropArray, FloatArray
from protocols.files import written_whole
from protocols.identity.inverted_file import DIMENSIONS, Descriptors, LikePoints, like_points
from protocols.readers import checks

Box = tuple[slice, slice]

SIDES = (96, 320)
"""Pixels of the longer side at which key points are sought: smaller images are enlarged, larger ones shrunk."""
POINTS = 128
"""Key points of a view of an image at most: those of the strongest contrast."""
ENOUGH = 12
"""Key points below which an image is not recognised, whatever it is compared with."""
CONTRAST = 0.02
"""Lowe's threshold, half of OpenCV's: pale stains are tissue too."""
STAIN = 0.012
"""Variation of colour around a key point, see :func:`stain_of`: .03 to .06 in H&E, .008 to .03 in pale IHC. Print and
dust are grey, .007 on a Visium slide; they are alike on every slide of a make, so that nobody is known by them."""
STAIN_BLUR = 3.0
"""Pixels of the Gaussian window that this is taken over, at the working size."""
DENSITY = np.log10(256 / np.arange(1, 257)).astype(np.float32)
"""Optical density of each pixel value."""
SMALL_PART, SPECKS, MARGIN = 0.5, (0.005, 0.995), 0.05
"""A large image whose tissue is no longer than this part of it is looked at twice, whole and around the tissue: the box
that holds stained pixels between these shares, along each axis, and a margin by its own size."""
AGREE = 6
"""Places in both images whose points must agree on one similarity transform."""
TOLERANCE, PLACE = 0.012, 0.04
"""How far a point may lie from where the transform puts it, and how far apart two places are, in the image's extent."""
SCALES = (0.5, 2.0)
"""Scale of the transform, each image taken by its own extent: a copy in another resolution has 1."""


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """What an image is recognised by; may hold no point (nothing to be recognised by: glass, flat colour)."""

    points: FloatArray
    """``(k, 2)``: x, y in pixels of the image as given."""
    descriptors: Descriptors
    """``(k, 128)``: SIFT's, of the green channel."""

    @property
    def recognisable(self) -> bool:
        """Whether there are enough points for a verdict."""
        return len(self.points) >= ENOUGH


@dataclass(frozen=True, order=True)
class LookAlike:
    """Two images of a list, ``first`` before ``second``, and the places that agree on one similarity transform."""

    first: int
    second: int
    matched: int


def fingerprint(image: CropArray) -> Fingerprint:
    """Key points and descriptors of uint8 RGB ``(h, w, 3)``, of any size from 48 px; one thread, always the same."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"an image {image.shape} {image.dtype} is not uint8 (h, w, 3)")
    with _one_thread():
        views = [_points_of(np.ascontiguousarray(image[box]), box) for box in _views(image)]
    points, descriptors = (np.concatenate(parts) for parts in zip(*views, strict=True))
    return Fingerprint(points, descriptors)


def _points_of(piece: CropArray, box: Box) -> tuple[FloatArray, Descriptors]:
    """The strongest key points of a piece of an image that lie on stain, in pixels of the image."""
    import cv2

    small, shrunk = _at_working_size(piece)
    green, stain = np.ascontiguousarray(small[:, :, 1]), stain_of(small)
    sift = cv2.SIFT.create(contrastThreshold=CONTRAST)
    found = [point for point in sift.detect(green, None) if stain[_pixel(point)] >= STAIN]
    found.sort(key=lambda point: (-point.response, point.pt, point.size, point.angle))
    points, descriptors = sift.compute(green, found[:POINTS])
    if not points:
        return np.zeros((0, 2), np.float32), np.zeros((0, DIMENSIONS), np.uint8)
    places = (np.array([point.pt for point in points], dtype=np.float64) + 0.5) * shrunk - 0.5
    return (places + np.array([box[1].start, box[0].start])).astype(np.float32), descriptors.astype(np.uint8)


def _views(image: CropArray) -> list[Box]:
    """The whole of an image; and what of it is stained, where that is a small part of a large image: a biopsy on a wide
    slide would be a few pixels otherwise."""
    height, width = image.shape[:2]
    views: list[Box] = [(slice(0, height), slice(0, width))]
    small, shrunk = _at_working_size(image)
    if shrunk <= 1:
        return views
    rows, columns = np.nonzero(stain_of(small) >= STAIN)
    if not len(rows):
        return views
    along = [np.quantile(rows, SPECKS) * shrunk, np.quantile(columns, SPECKS) * shrunk]
    longer = max(float(np.ptp(ends)) for ends in along)
    if longer <= max(height, width) * SMALL_PART:
        margin = np.array([-1, 1]) * (MARGIN * longer + shrunk)
        (top, bottom), (left, right) = (np.round(ends + margin).astype(int).clip(0).tolist() for ends in along)
        views.append((slice(top, bottom + 1), slice(left, right + 1)))
    return views


def stain_of(image: CropArray) -> FloatArray:
    """How much the absorption of two colours varies apart around each pixel, float32 optical density (the larger
    standard deviation of red less green and blue less green): neither grey print nor the tint of glass adds to it."""
    import cv2

    red, green, blue = (DENSITY[channel] for channel in cv2.split(image))
    variances = []
    for apart in (red - green, blue - green):
        mean, square = (cv2.GaussianBlur(values, (0, 0), STAIN_BLUR) for values in (apart, apart * apart))
        variances.append(square - mean * mean)
    return np.asarray(np.sqrt(np.maximum(np.maximum(*variances), 0)), np.float32)


def find_look_alikes(prints: Sequence[Fingerprint], owner: Sequence[int] | NDArray[Any]) -> list[LookAlike]:
    """Pairs of look-alikes among images of different owners, sorted; what is not recognisable is in none.

    An image with more than eight copies of other owners is reported with those nearest to it, at least.
    """
    if len(prints) != len(owner):
        raise ValueError(f"{len(prints)} fingerprints of {len(owner)} owners")
    used = [number for number, one in enumerate(prints) if one.recognisable]
    if not used:
        return []
    image = np.repeat(used, [len(prints[number].points) for number in used])
    owners = np.unique(np.asarray(owner), return_inverse=True)[1].astype(np.int64)[image]
    places = np.concatenate([_in_extent(prints[number].points) for number in used])
    descriptors = np.concatenate([prints[number].descriptors for number in used])
    found: dict[tuple[int, int], int] = {}
    for like in like_points(descriptors, image.astype(np.int64), owners, AGREE):
        matched = _agreeing(places, like)
        if matched >= AGREE:
            pair = like.first, like.second
            found[pair] = max(matched, found.get(pair, 0))
    return [LookAlike(*pair, matched) for pair, matched in sorted(found.items())]


def _agreeing(places: FloatArray, like: LikePoints) -> int:
    """Places, of the image that has fewer, whose points agree on the similarity transform that most agree on."""
    import cv2

    first, second = places[like.rows_of_first], places[like.rows_of_second]
    if like.mirrored:
        first = first * np.array([-1, 1], np.float32)
    if min(_number_of_places(first), _number_of_places(second)) < AGREE:
        return 0
    with _one_thread():
        cv2.setRNGSeed(0)
        moved, agree = cv2.estimateAffinePartial2D(
            first, second, method=cv2.RANSAC, ransacReprojThreshold=TOLERANCE, maxIters=1000
        )
    if moved is None or not SCALES[0] <= np.hypot(moved[0, 0], moved[1, 0]) <= SCALES[1]:
        return 0
    chosen = agree.ravel() > 0
    return min(_number_of_places(first[chosen]), _number_of_places(second[chosen]))


def _number_of_places(points: FloatArray) -> int:
    """Points that lie close together are one piece of evidence: a speck, a letter."""
    column, row = np.floor(points / PLACE).astype(np.int64).T
    return len(np.unique(row * (1 << 16) + column))


def _in_extent(points: FloatArray) -> FloatArray:
    """Points in units of the longer side of the box around them."""
    extent = float(np.ptp(points, axis=0).max())
    return np.asarray(points / max(extent, 1.0), np.float32)


def _at_working_size(image: CropArray) -> tuple[CropArray, float]:
    """The image between ``SIDES``, and how many of its pixels one of these is."""
    import cv2

    longer = max(image.shape[:2])
    side = min(max(longer, SIDES[0]), SIDES[1])
    if side == longer:
        return image, 1.0
    size = [max(1, round(length * side / longer)) for length in image.shape[1::-1]]
    how = cv2.INTER_AREA if side < longer else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, size, interpolation=how), np.uint8), longer / side


def _pixel(point: Any) -> tuple[int, int]:
    return int(point.pt[1]), int(point.pt[0])


@contextmanager
def _one_thread() -> Iterator[None]:
    """OpenCV's own threads would take processors that the run has given to its workers."""
    import cv2

    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)


def write_fingerprints(path: Path, prints: Sequence[Fingerprint]) -> None:
    """One file of NumPy arrays, whole or absent; the same bytes for the same fingerprints."""
    sizes = np.array([len(one.points) for one in prints], dtype=np.int64)
    points = np.concatenate([np.zeros((0, 2), np.float32), *(one.points for one in prints)])
    descriptors = np.concatenate([np.zeros((0, DIMENSIONS), np.uint8), *(one.descriptors for one in prints)])
    with written_whole(path) as part, part.open("wb") as file:
        np.savez(file, sizes=sizes, points=points, descriptors=descriptors)


def read_fingerprints(path: Path) -> list[Fingerprint]:
    """What :func:`write_fingerprints` wrote, in its order. Raises :class:`UserError` for a file that is not whole."""
    checks.require_file(path, "fingerprints")
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            sizes, points, descriptors = (file[name] for name in ("sizes", "points", "descriptors"))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise checks.damaged(path, "fingerprints", error) from error
    ends = np.cumsum(sizes).tolist()
    starts = [0, *ends[:-1]]
    return [Fingerprint(points[a:b], descriptors[a:b]) for a, b in zip(starts, ends, strict=True)] if ends else []
