"""Like descriptors of images of different owners, without comparing every image with every other.

An inverted file (Sivic and Zisserman, "Video Google", ICCV 2003): descriptors drawn from the whole are the centres of
cells; every descriptor lies in the cell of its nearest centre, is compared with those of its ``PROBES`` nearest cells,
and with nothing else. The work grows as the number of descriptors to the power of 1.5, memory with the number itself.
Descriptors are whole numbers, and their products stay below 2**24, so float32 sums are exact and in any order equal:
nothing here hangs on threads.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocols.contract import FloatArray, RowArray

Descriptors = NDArray[np.uint8]

DIMENSIONS = 128
ALIKE = 200.0
"""Euclidean distance below which two descriptors (each about 512 long) may show one thing."""
PROBES = 2
NEIGHBOURS = 8
"""Like descriptors that are kept, the nearest, of each cell that is looked into."""
CELLS = 2.0
"""Cells for every square root of the number of descriptors: then finding cells and comparing in them cost the same."""
BLOCK = 1 << 21
"""Distances that are held at once."""
MIRRORED = np.arange(DIMENSIONS).reshape(4, 4, 8)[::-1, :, -np.arange(8) % 8].ravel()
"""A mirrored image's descriptors are the same numbers in this order: rows across the key point's direction swap, and
directions turn the other way (SIFT has 4 x 4 places of 8 directions)."""


@dataclass(frozen=True, eq=False)
class LikePoints:
    """Of two images, ``first`` before ``second``: rows of descriptors that are alike, once ``first`` is mirrored."""

    first: int
    second: int
    mirrored: bool
    rows_of_first: RowArray
    rows_of_second: RowArray


def like_points(descriptors: Descriptors, image: RowArray, owner: RowArray, least: int) -> Iterator[LikePoints]:
    """Pairs of images of different owners with at least ``least`` like descriptors; ``image``, ``owner`` of each row.

    Plain pairs and mirrored ones are told apart, so two images may come twice.
    """
    lengths = np.einsum("ij,ij->i", descriptors, descriptors, dtype=np.int64).astype(np.float32)
    cells = min(len(descriptors), round(CELLS * len(descriptors) ** 0.5))
    places = np.linspace(0, len(descriptors) - 1, cells).round().astype(np.int64)
    centres, offset = descriptors[places].astype(np.float32), lengths[places]
    home = _nearest(descriptors, centres, offset, 1)[:, 0]
    members = np.split(np.argsort(home, kind="stable"), np.cumsum(np.bincount(home, minlength=cells))[:-1])
    for mirrored in (False, True):
        asked = descriptors[:, MIRRORED] if mirrored else descriptors
        found = _compared(asked, descriptors, lengths, members, _nearest(asked, centres, offset, PROBES), image, owner)
        yield from _by_pair(*found, image, mirrored, least)


def _nearest(descriptors: Descriptors, centres: FloatArray, offset: FloatArray, number: int) -> NDArray[np.int32]:
    """The cells of the ``number`` nearest centres, ``(rows, number)``."""
    number = min(number, len(centres))
    out = np.empty((len(descriptors), number), np.int32)
    step = max(1, BLOCK // len(centres))
    for start in range(0, len(descriptors), step):
        # |d - c|² less |d|², which is the same for every centre
        far = offset - 2 * (descriptors[start : start + step].astype(np.float32) @ centres.T)
        for place in range(number):
            nearest = far.argmin(axis=1)
            out[start : start + step, place] = nearest
            far[np.arange(len(far)), nearest] = np.inf
    return out


def _compared(
    asked: Descriptors,
    descriptors: Descriptors,
    lengths: FloatArray,
    members: list[RowArray],
    probes: NDArray[np.int32],
    image: RowArray,
    owner: RowArray,
) -> tuple[RowArray, RowArray]:
    """Rows that are alike, the earlier image's and the later one's."""
    by_cell = np.argsort(probes, axis=None, kind="stable")
    visitors = np.split(by_cell // probes.shape[1], np.cumsum(np.bincount(probes.ravel(), minlength=len(members)))[:-1])
    earlier, later = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for inside, all_visiting in zip(members, visitors, strict=True):
        if not len(inside):
            continue
        there = descriptors[inside].astype(np.float32).T
        step = max(1, BLOCK // len(inside))
        for start in range(0, len(all_visiting), step):
            visiting = all_visiting[start : start + step]
            square = lengths[visiting][:, None] + lengths[inside] - 2 * (asked[visiting].astype(np.float32) @ there)
            like = square < ALIKE**2
            like &= image[visiting][:, None] < image[inside]
            like &= owner[visiting][:, None] != owner[inside]
            _keep_nearest(like, square)
            row, column = np.nonzero(like)
            earlier.append(visiting[row])
            later.append(inside[column])
    return np.concatenate(earlier), np.concatenate(later)


def _keep_nearest(like: NDArray[np.bool_], square: FloatArray) -> None:
    """Leave the ``NEIGHBOURS`` nearest of each row that has more; of equals, those of the first images."""
    many = np.flatnonzero(like.sum(axis=1) > NEIGHBOURS)
    order = np.argsort(np.where(like[many], square[many], np.inf), axis=1, kind="stable")
    like[many] = False
    like[many[:, None], order[:, :NEIGHBOURS]] = True


def _by_pair(earlier: RowArray, later: RowArray, image: RowArray, mirrored: bool, least: int) -> Iterator[LikePoints]:
    pair = image[earlier] * (int(image.max(initial=0)) + 1) + image[later]
    order = np.argsort(pair, kind="stable")
    earlier, later = earlier[order], later[order]
    _, starts, counts = np.unique(pair[order], return_index=True, return_counts=True)
    for start, count in zip(starts[counts >= least].tolist(), counts[counts >= least].tolist(), strict=True):
        rows = earlier[start : start + count], later[start : start + count]
        yield LikePoints(int(image[rows[0][0]]), int(image[rows[1][0]]), mirrored, *rows)
