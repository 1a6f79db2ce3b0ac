"""The two frames of a slide: level-0 pixels of the H&E image, and micrometres of the Xenium run.

10x's alignment file is a 3 x 3 matrix A that takes H&E pixels to pixels of the morphology (DAPI) image; a
morphology pixel is 0.2125 µm: ``um = 0.2125 A (x_px, y_px, 1)``. ``(0, 0)`` is the centre of the first pixel.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from protocols.phantom.settings import PhantomSettings
from protocols.phantom.tissue import Float, SlideName
from protocols.seeds import generator

MORPHOLOGY_UM = 0.2125


def draw_alignment(settings: PhantomSettings, seed: int, name: SlideName) -> Float:
    """A: rotation by tens of degrees, the true scale of the scan, and a shift that keeps the slide in the frame."""
    rng = generator(seed, "alignment", name.slide)
    angle = np.deg2rad(rng.uniform(15, 75)) * rng.choice([-1.0, 1.0])
    # The scanner's stated mpp is near the truth, not at it: the section stretched, the stage is off a little.
    scale = settings.mpp / MORPHOLOGY_UM * (1 + rng.uniform(-0.012, 0.012))
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    last = settings.image_px - 1
    corners = np.array([[0, 0], [last, 0], [0, last], [last, last]], dtype=float) @ turn.T
    shift = -corners.min(axis=0) + rng.uniform(100, 500, 2)
    matrix = np.eye(3)
    matrix[:2, :2], matrix[:2, 2] = turn, shift
    # As many digits as the file holds: what is written is what was used.
    return np.array([[float(f"{value:.12g}") for value in row] for row in matrix])


def to_xenium_um(alignment: Float, he_px: Float) -> Float:
    """``(n, 2)`` H&E pixels to Xenium micrometres."""
    return np.asarray(MORPHOLOGY_UM * (he_px @ alignment[:2, :2].T + alignment[:2, 2]))


def alignment_text(alignment: Float) -> str:
    """The alignment file: three comma-separated rows, no header."""
    return "".join(",".join(f"{value:.12g}" for value in row) + "\n" for row in alignment)


def keypoint_table(settings: PhantomSettings, seed: int, name: SlideName, alignment: Float) -> pd.DataFrame:
    """Landmarks of several regions in both frames, with the jitter of a person who clicked them."""
    rng = generator(seed, "keypoints", name.slide)
    side, rows = settings.image_px, []
    for region in range(settings.keypoint_regions):
        centre = rng.uniform(0.25, 0.75, 2) * side
        points = np.clip(centre + rng.uniform(-0.22, 0.22, (settings.keypoints_per_region, 2)) * side, 1, side - 2)
        clicked = to_xenium_um(alignment, points) + settings.keypoint_jitter_um * rng.standard_normal(points.shape)
        rows += [(f"R{region + 1}", *um, *px) for um, px in zip(clicked.round(3), points.round(2), strict=True)]
    return pd.DataFrame(rows, columns=["region", "xenium_x_um", "xenium_y_um", "he_x_px", "he_y_px"])
