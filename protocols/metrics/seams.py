"""How visible the seams of a picture made of windows are: the gradient across their borders against that elsewhere.

A border ``x`` is the line between pixels ``x - 1`` and ``x``; its gradient is ``|I[x] - I[x - 1]|``, the mean over the
channels. Lines belong to the nearest border, and are cut where the nearest border of the other direction changes: one
such piece of border with the lines around it is a *unit*, so texture is compared with the texture beside it. The ratio
is the pixel-weighted mean over all borders divided by that over all other lines: 1 means invisible. Its standard error
is the jackknife over units (pixels along one border are not independent; neighbouring units nearly are).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.errors import UserError

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class SeamUnits:
    """Sums of gradients and numbers of pixel pairs, on the border and elsewhere, float64 ``(u,)`` each."""

    border_sum: Float
    border_pairs: Float
    other_sum: Float
    other_pairs: Float

    def __len__(self) -> int:
        return len(self.border_sum)


@dataclass(frozen=True)
class SeamScore:
    """``border`` and ``elsewhere`` are mean absolute gradients in grey levels a pixel, ``ratio`` their quotient.

    A picture without any gradient has ratio 1: there is nothing to see. ``ratio`` is None where there are seams on an
    otherwise flat picture (no texture to compare with), ``standard_error`` where the ratio is, or below two units.
    """

    border: float
    elsewhere: float
    ratio: float | None
    standard_error: float | None
    units: int


def seam_units(
    image: NDArray[Any], x: Sequence[int], y: Sequence[int], mask: Bool | None = None, period: int = 1
) -> SeamUnits:
    """Units of the borders ``x`` (columns) and ``y`` (rows) of an image ``(h, w)`` or ``(h, w, channels)``.

    Only pairs of pixels that are both in ``mask (h, w)`` count (tissue, say); units without any border or any other
    pair are left out. ``period`` compares a border only with lines that are a multiple of it away: JPEG has seams of
    its own every 8 pixels (16 in colour), and window borders mostly fall on them.
    """
    pixels = np.asarray(image, dtype=np.float32)
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    height, width = pixels.shape[:2]
    inside = np.ones((height, width), dtype=bool) if mask is None else np.asarray(mask, dtype=bool)
    if inside.shape != (height, width):
        raise _wrong(f"a mask {inside.shape}", f"{(height, width)}")
    columns, rows = _borders(x, width), _borders(y, height)
    parts = [
        _units(pixels, inside, columns, rows, period),
        _units(pixels.swapaxes(0, 1), inside.T, rows, columns, period),
    ]
    return pooled_units(parts)


def pooled_units(parts: Iterable[SeamUnits]) -> SeamUnits:
    """The units of several regions together: a slide is measured band by band."""
    parts = list(parts)
    names = ("border_sum", "border_pairs", "other_sum", "other_pairs")
    return SeamUnits(*(np.concatenate([np.zeros(0), *(getattr(part, name) for part in parts)]) for name in names))


def seam_score(units: SeamUnits) -> SeamScore:
    """Ratio and its standard error; units are at least one."""
    if not len(units):
        raise _wrong("no border with pixels on both sides and around it", "at least one")
    sums = np.stack([units.border_sum, units.border_pairs, units.other_sum, units.other_pairs])
    whole = sums.sum(axis=1)
    border, elsewhere = float(whole[0] / whole[1]), float(whole[2] / whole[3])
    if not elsewhere:
        return SeamScore(border, elsewhere, None if border else 1.0, None, len(units))
    return SeamScore(border, elsewhere, border / elsewhere, _jackknife(sums, whole), len(units))


def seams(
    image: NDArray[Any], x: Sequence[int], y: Sequence[int], mask: Bool | None = None, period: int = 1
) -> SeamScore:
    """:func:`seam_score` of one image; see :func:`seam_units`."""
    return seam_score(seam_units(image, x, y, mask, period))


def cells(borders: Sequence[int], length: int) -> list[tuple[int, int]]:
    """Half-open ranges of what is nearest to each border; without borders, the whole side."""
    if not borders:
        return [(0, length)]
    return list(pairwise([0, *((a + b + 1) // 2 for a, b in pairwise(borders)), length]))


def _units(
    pixels: NDArray[np.float32], inside: Bool, columns: tuple[int, ...], rows: tuple[int, ...], period: int
) -> SeamUnits:
    """Units of vertical borders; ``pixels (h, w, c)``."""
    height, width = inside.shape
    blocks = cells(rows, height)
    units = []
    for border, (left, right) in zip(columns, cells(columns, width), strict=False):
        first = max(left, 1)
        both = inside[:, first:right] & inside[:, first - 1 : right - 1]
        gradient = np.abs(np.diff(pixels[:, first - 1 : right], axis=1)).mean(axis=2, dtype=np.float64) * both
        away = np.arange(first, right) - border
        on, other = away == 0, (away != 0) & (away % period == 0)
        for top, bottom in blocks:
            g, n = gradient[top:bottom], both[top:bottom]
            units.append((g[:, on].sum(), n[:, on].sum(), g[:, other].sum(), n[:, other].sum()))
    table = np.array(units, dtype=np.float64).reshape(-1, 4)
    table = table[(table[:, 1] > 0) & (table[:, 3] > 0)]
    return SeamUnits(*table.T)


def _jackknife(sums: Float, whole: Float) -> float | None:
    """Standard error of the ratio from leaving out one unit at a time."""
    count = sums.shape[1]
    if count < 2:
        return None
    rest = whole[:, None] - sums
    if not (rest[2] > 0).all():  # all texture in one unit: leaving it out leaves nothing to divide by
        return None
    ratio = rest[0] / rest[1] / (rest[2] / rest[3])
    return float(np.sqrt((count - 1) / count * ((ratio - ratio.mean()) ** 2).sum()))


def _borders(borders: Sequence[int], length: int) -> tuple[int, ...]:
    ordered = tuple(int(border) for border in borders)
    if any(a >= b for a, b in pairwise(ordered)) or (ordered and not 0 < ordered[0] <= ordered[-1] < length):
        raise _wrong(f"borders {ordered}", f"rising positions between 1 and {length - 1}")
    return ordered


def _wrong(what: str, expected: str) -> UserError:
    return UserError(what, where="the seams of an image", expected=expected, remedy="check the windows' borders")
