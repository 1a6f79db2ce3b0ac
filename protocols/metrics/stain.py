"""Colour deconvolution: how much haematoxylin and DAB a pixel holds, on the scale of the published thresholds.

Optical density is ``-log10(I / white)`` per channel (Beer-Lambert), and a pixel's stains are its density in the basis
of *unit* stain vectors (Ruifrok & Johnston 2001), as in QuPath and ImageJ. On this scale a pale brown (200, 170, 140)
is .32 and a strong one (90, 50, 30) 1.10, which IHC4BC's bounds for nuclear DAB (.06 to .55) can tell apart.
``skimage.color.rgb2hed`` divides natural logarithms by ln 10⁻⁶, which makes every value six times smaller (.055, .186):
strong nuclei would count as weak. That a data set's labels are on exactly this scale is an assumption until
:func:`calibrate` has compared both; its factor is what ``scale`` takes.

A brightfield section carries two stains; the third axis is their residual, perpendicular to both. Stains are not
clipped at zero: negative amounts are colours that the two stains cannot make, and clipping them would lift the mean of
a pale nucleus.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.errors import UserError

Float = NDArray[np.float64]
Rgb = NDArray[np.uint8]
White = float | tuple[float, float, float]

WHITE_LEVEL = 255.0


@dataclass(frozen=True)
class StainPair:
    """Colours of two stains as optical density of (red, green, blue); scaled to unit length where they are used."""

    haematoxylin: tuple[float, float, float]
    other: tuple[float, float, float]

    def unmixing(self) -> Float:
        """Matrix ``(3, 3)`` from optical density (row) to haematoxylin, the other stain and the residual."""
        first, second = (np.asarray(vector) / np.linalg.norm(vector) for vector in (self.haematoxylin, self.other))
        residual = np.cross(first, second)
        length = float(np.linalg.norm(residual))
        if not length > 1e-3:
            raise _wrong("two stain vectors of one colour", "two different colours", "check the stain vectors")
        inverse: Float = np.linalg.inv(np.stack([first, second, residual / length]))
        return inverse


H_DAB = StainPair((0.65, 0.70, 0.29), (0.27, 0.57, 0.78))
H_EOSIN = StainPair((0.65, 0.70, 0.29), (0.07, 0.99, 0.11))


@dataclass(frozen=True)
class Calibration:
    """Least squares through the origin, ``reference ≈ scale · measured``: what to multiply an OD with."""

    scale: float
    n: int
    residual_rms: float
    """Root mean square of what the line leaves over, in OD of the reference."""
    r_squared: float
    """Share of the reference's sum of squares about zero that the line explains."""


def optical_density(rgb: Rgb, white: White = WHITE_LEVEL) -> Float:
    """``-log10(I / white)`` of uint8 RGB ``(..., 3)``, float64 of that shape.

    Level 0 counts as 1 (OD 2.4: a sensor's zero is not infinite density), brighter than white as white.
    """
    _check(rgb)
    levels = (white,) * 3 if isinstance(white, float | int) else tuple(float(level) for level in white)
    if len(levels) != 3 or min(levels) < 1 or max(levels) > 255:
        raise _wrong(f"white level {white}", "one level or three, 1 to 255", "measure the white level again")
    return np.stack([_table(float(level))[rgb[..., channel]] for channel, level in enumerate(levels)], axis=-1)


def stain_densities(rgb: Rgb, stains: StainPair = H_DAB, white: White = WHITE_LEVEL) -> Float:
    """Haematoxylin, the other stain and the residual of every pixel, log10 OD, float64 ``(..., 3)``."""
    density: Float = optical_density(rgb, white) @ stains.unmixing()
    return density


def dab_od(rgb: Rgb, *, stains: StainPair = H_DAB, white: White = WHITE_LEVEL, scale: float = 1.0) -> Float:
    """DAB of every pixel of uint8 RGB ``(..., 3)``, float64 ``(...)``; ``scale`` is that of :func:`calibrate`."""
    return optical_density(rgb, white) @ (stains.unmixing()[:, 1] * scale)


def haematoxylin_od(rgb: Rgb, *, stains: StainPair = H_DAB, white: White = WHITE_LEVEL) -> Float:
    """Haematoxylin of every pixel, float64 ``(...)``; give :data:`H_EOSIN` for an H&E image."""
    return optical_density(rgb, white) @ stains.unmixing()[:, 0]


def estimated_white(rgb: Rgb, percentile: float = 99.0) -> tuple[float, float, float]:
    """Level of each channel that few pixels exceed: the glass, if the image shows any."""
    _check(rgb)
    red, green, blue = np.percentile(rgb.reshape(-1, 3), percentile, axis=0)
    return float(red), float(green), float(blue)


def calibrate(od: Float | Sequence[float], reference: Float | Sequence[float]) -> Calibration:
    """Fit the factor that brings measured ODs to the scale of a reference, such as a data set's label values.

    Both are ``(n,)`` of the same nuclei or patches. Through the origin, because no stain is zero on every scale.
    """
    measured, wanted = np.asarray(od, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    if measured.shape != wanted.shape or measured.ndim != 1 or len(measured) < 2:
        raise _wrong(f"{measured.shape} and {wanted.shape} values", "two vectors alike, two values at least", "pair up")
    if not (np.isfinite(measured).all() and np.isfinite(wanted).all()):
        raise _wrong("an optical density is NaN or infinite", "finite values", "leave such nuclei out")
    together, alone, total = float(measured @ wanted), float(measured @ measured), float(wanted @ wanted)
    if together <= 0:
        raise _wrong("measured and reference OD do not rise together", "a positive slope", "check the pairing")
    scale = together / alone
    left = float(((wanted - scale * measured) ** 2).sum())
    return Calibration(scale, len(measured), float(np.sqrt(left / len(measured))), 1 - left / total)


@lru_cache(maxsize=64)
def _table(white: float) -> Float:
    """Optical density of the 256 levels."""
    table: Float = np.maximum(-np.log10(np.maximum(np.arange(256.0), 1.0) / white), 0.0)
    table.flags.writeable = False
    return table


def _check(rgb: NDArray[Any]) -> None:
    if rgb.dtype != np.uint8 or rgb.ndim < 1 or rgb.shape[-1] != 3 or not rgb.size:
        raise _wrong(f"{rgb.dtype} {rgb.shape}", "uint8 RGB (..., 3)", "drop the alpha channel, convert to 8 bits")


def _wrong(what: str, expected: str, remedy: str) -> UserError:
    return UserError(what, where="colour deconvolution", expected=expected, remedy=remedy)
