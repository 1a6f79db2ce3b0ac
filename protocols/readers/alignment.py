"""From the assay's frame (micrometres) to the H&E image's level-0 pixels: affine files and key points.

All transforms are 3 × 3 float64 matrices acting on column vectors (x, y, 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.errors import UserError
from protocols.readers import checks

Matrix = NDArray[np.float64]
Points = NDArray[np.float64]


@dataclass(frozen=True)
class Fit:
    """A fitted transform, its scale (target units per source unit) and its residual RMS in target units."""

    matrix: Matrix
    scale: float
    rms: float


@dataclass(frozen=True)
class RegionFit:
    """One region's fit; ``centre`` is the mean of its key points in the source frame."""

    region: str
    centre: Points
    points: int
    fit: Fit


def read_alignment_csv(path: Path) -> Matrix:
    """The 3 × 3 matrix of a Xenium ``*_imagealignment.csv``, as written: H&E pixels → morphology (DAPI) pixels."""
    checks.require_file(path, "alignment")
    try:
        matrix = np.atleast_2d(np.loadtxt(path, delimiter=",", dtype=np.float64))
    except ValueError as error:
        raise checks.damaged(path, "alignment CSV", error) from error
    if matrix.shape != (3, 3) or not np.isfinite(matrix).all() or not np.allclose(matrix[2], [0, 0, 1], atol=1e-9):
        raise UserError(
            f"no affine alignment (shape {matrix.shape[0]} × {matrix.shape[1]})",
            where=path,
            expected="3 × 3 finite numbers with the last row 0, 0, 1",
            remedy="export it from Xenium Explorer again",
        )
    return matrix


def invert_affine(matrix: Matrix, *, where: object = "the alignment") -> Matrix:
    """The inverse; a matrix that maps the plane onto a line or a point has none."""
    linear = matrix[:2, :2]
    size = float(np.abs(linear).max())
    # Relative to the matrix's own size: 1e-6 would squeeze a metre of tissue into a micrometre.
    if not np.isfinite(matrix).all() or size == 0 or abs(np.linalg.det(linear / size)) < 1e-6:
        raise UserError(
            "the alignment is singular (it maps the plane onto a line or a point)",
            where=where,
            expected="an invertible 3 × 3 affine matrix",
            remedy="export the alignment again",
        )
    return np.asarray(np.linalg.inv(matrix), np.float64)


def apply(matrix: Matrix, points: Points) -> Points:
    """``points`` ``(n, 2)`` through ``matrix``."""
    return np.asarray(points @ matrix[:2, :2].T + matrix[:2, 2], np.float64)


def affine_scale(matrix: Matrix) -> float:
    """Target units per source unit: the square root of the change of area."""
    return float(np.sqrt(abs(np.linalg.det(matrix[:2, :2]))))


def kabsch(source: Points, target: Points, scale: bool, *, where: object = "the key points") -> Fit:
    """Least-squares rotation and shift (and one scale, if ``scale``) that carry ``source`` onto ``target``.

    Kabsch 1976 (Acta Cryst. A32:922); the scale is Umeyama's (1991, eq. 42). The result is always a proper
    rotation: where the unconstrained optimum is a mirror image, the smallest singular direction is flipped.
    """
    source, target = np.asarray(source, np.float64), np.asarray(target, np.float64)
    from_mean, to_mean = source.mean(axis=0), target.mean(axis=0)
    a, b = source - from_mean, target - to_mean
    spread = float((a**2).sum())
    if len(source) < 2 or spread <= 1e-12 * max(1.0, float((source**2).sum())) or not (b**2).sum() > 0:
        raise UserError(
            f"{len(source)} key points that do not span a distance",
            where=where,
            expected="at least 2 distinct points in both frames (3 or more are better)",
            remedy="add key points",
        )
    u, singular, vt = np.linalg.svd(b.T @ a)
    signs = np.array([1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    rotation = (u * signs) @ vt
    factor = float((singular * signs).sum() / spread) if scale else 1.0
    if factor <= 0:  # only for key points without any common orientation
        raise UserError(
            "no rotation fits the key points", where=where, expected="matching points", remedy="check their order"
        )
    matrix = np.eye(3)
    matrix[:2, :2] = factor * rotation
    matrix[:2, 2] = to_mean - factor * rotation @ from_mean
    return Fit(matrix, factor, rms(matrix, source, target))


def rms(matrix: Matrix, source: Points, target: Points) -> float:
    """Root mean squared distance between mapped ``source`` and ``target``."""
    return float(np.sqrt(((apply(matrix, source) - target) ** 2).sum(axis=1).mean()))


def is_mirrored(source: Points, target: Points) -> bool:
    """Whether a mirror image explains the key points far better than any rotation (needs 3 points off a line)."""
    flip = np.array([-1.0, 1.0])
    direct, mirrored = kabsch(source, target, True), kabsch(source * flip, target, True)
    extent = float(np.sqrt(((target - target.mean(axis=0)) ** 2).sum(axis=1).mean()))
    return direct.rms > 0.1 * extent and mirrored.rms < 0.5 * direct.rms


def read_keypoints(path: Path) -> pd.DataFrame:
    """Key points: columns ``region, xenium_x_um, xenium_y_um, he_x_px, he_y_px``."""
    columns = ["region", "xenium_x_um", "xenium_y_um", "he_x_px", "he_y_px"]
    checks.require_file(path, "key point")
    try:
        frame = pd.read_csv(path)
    except (ValueError, pd.errors.ParserError) as error:
        raise checks.damaged(path, "CSV", error) from error
    checks.require_columns(list(frame.columns), columns, where=path)
    values = frame[columns[1:]].apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
    if not len(frame) or not np.isfinite(values).all():
        raise UserError(
            "key points are missing or not numbers", where=path, expected="finite coordinates", remedy="correct them"
        )
    return pd.DataFrame(values, columns=columns[1:]).assign(region=frame["region"].astype(str).to_numpy())


def fit_regions(points: pd.DataFrame, mpp: float | None, *, where: object) -> tuple[RegionFit, ...]:
    """One fit per region, micrometres → H&E pixels.

    Rigid, as PAST does it, when ``mpp`` is given (the scale is then exactly 1/mpp); a similarity otherwise.
    """
    fits = []
    for name, group in points.groupby("region", sort=True):
        source = group[["xenium_x_um", "xenium_y_um"]].to_numpy(np.float64)
        target = group[["he_x_px", "he_y_px"]].to_numpy(np.float64)
        place = f"{where}, region {name}"
        if mpp is None:
            fit = kabsch(source, target, True, where=place)
        else:
            to_pixels = np.diag([1 / mpp, 1 / mpp, 1.0])
            rigid = kabsch(source, target * mpp, False, where=place)
            fit = Fit(to_pixels @ rigid.matrix, 1 / mpp, rigid.rms / mpp)
        if is_mirrored(source, target):
            raise UserError(
                "the key points are mirrored",
                where=place,
                expected="two frames that differ by rotation, shift and scale",
                remedy="flip the image (and its key points), or align with an affine CSV",
            )
        fits.append(RegionFit(str(name), source.mean(axis=0), len(group), fit))
    return tuple(fits)


def combine_regions(fits: Sequence[RegionFit], points_um: Points) -> Points:
    """Pixels of ``points_um`` ``(n, 2)``: the regions' transforms, averaged with weights 1/distance².

    Distance is that to a region's centre, so near a region its own transform rules, and between regions the
    result passes smoothly from one to the other (a nearest-region rule would tear cells apart at the seam).
    PAST (Methods) combines several key point sets without stating how; this is our choice.
    """
    mapped = np.stack([apply(item.fit.matrix, points_um) for item in fits])
    squared = np.stack([((points_um - item.centre) ** 2).sum(axis=1) for item in fits])
    weights = 1.0 / np.maximum(squared, 1e-6)
    weights /= weights.sum(axis=0)
    return np.asarray((weights[:, :, None] * mapped).sum(axis=0), np.float64)


def describe(fits: Sequence[RegionFit], points: pd.DataFrame) -> tuple[str, ...]:
    """Notes: residual RMS per region and of the combination over all key points, in pixels and micrometres."""
    notes = [
        f"region {item.region}: {item.points} key points, RMS {item.fit.rms:.2f} px"
        f" ({item.fit.rms / item.fit.scale:.2f} µm)"
        for item in fits
    ]
    mapped = combine_regions(fits, points[["xenium_x_um", "xenium_y_um"]].to_numpy(np.float64))
    error = mapped - points[["he_x_px", "he_y_px"]].to_numpy(np.float64)
    overall = float(np.sqrt((error**2).sum(axis=1).mean()))
    return (*notes, f"all {len(points)} key points: RMS {overall:.2f} px after combining {len(fits)} regions")
