"""The image's scale from the array itself: spots stand at a known distance from each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocols.errors import UserError

ST_PITCH_UM = 200.0
"""Spatial Transcriptomics 1k arrays: 200 µm centre to centre on a square grid (Ståhl et al. 2016)."""

VISIUM_PITCH_UM = 100.0
"""Visium: 100 µm centre to centre on a hexagonal grid; a column step is half of it, a row step √3/2 of it."""


@dataclass(frozen=True)
class Scale:
    """µm per pixel along both axes together, and how far the two axes disagree (0.02: 2 %)."""

    mpp: float
    anisotropy: float

    def notes(self) -> tuple[str, ...]:
        text = f"mpp {self.mpp:.4f} was estimated from the array's pitch"
        wide = f"; the image's axes differ by {self.anisotropy:.1%}" if self.anisotropy > 0.02 else ""
        return (text + wide,)


def square_grid_um(grid: NDArray[np.float64], pitch: float) -> NDArray[np.float64]:
    """Micrometres of ST's grid coordinates (x, y)."""
    return grid * pitch


def hexagonal_grid_um(column_row: NDArray[np.float64], pitch: float) -> NDArray[np.float64]:
    """Micrometres of Visium's (array_col, array_row)."""
    return np.asarray(column_row * np.array([pitch / 2, pitch * np.sqrt(3) / 2]), np.float64)


def fit_scale(grid_um: NDArray[np.float64], xy_px: NDArray[np.float64], *, where: object) -> Scale:
    """µm per pixel: the affine least-squares fit of pixels on the grid, by its change of area."""
    design = np.column_stack([grid_um, np.ones(len(grid_um))])
    if len(grid_um) < 3 or np.linalg.matrix_rank(design - design.mean(axis=0)) < 2:
        raise UserError(
            f"{len(grid_um)} spots do not span the array, so its pitch gives no scale",
            where=where,
            expected="3 or more spots that are not in one line",
            remedy="set the option mpp in the manifest",
        )
    linear = np.linalg.lstsq(design, xy_px, rcond=None)[0][:2]
    area = abs(float(np.linalg.det(linear)))
    if not area > 0:
        raise UserError("spots fall on a line", where=where, expected="a grid in pixels", remedy="check the columns")
    axis = np.linalg.norm(linear, axis=1)
    return Scale(1 / np.sqrt(area), float(axis.max() / axis.min() - 1))
