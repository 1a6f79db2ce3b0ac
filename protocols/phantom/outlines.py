"""Cell and nucleus outlines as the few-cornered polygons that a Xenium bundle holds."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from protocols.phantom.tissue import Float, Tissue


def bisector_limit(tissue: Tissue, directions: Float, reach_um: float) -> Float:
    """Distance from each cell's centre to the nearest line half-way to a neighbour, ``(n, directions)``."""
    limit = np.full((len(tissue), len(directions)), reach_um)
    pairs = cKDTree(tissue.xy).query_pairs(2 * reach_um, output_type="ndarray")
    for here, there in (pairs.T, pairs[:, ::-1].T):
        apart = tissue.xy[there] - tissue.xy[here]
        along = apart @ directions.T
        half = (apart**2).sum(axis=1)[:, None] / 2
        np.minimum.at(limit, here, np.where(along > 1e-6, half / np.maximum(along, 1e-6), reach_um))
    return limit


def polygons(tissue: Tissue, vertices: int, *, nucleus: bool) -> Float:
    """Corners ``(n, vertices, 2)`` in µm of the H&E frame; cells do not overlap, a nucleus lies in its cell."""
    angles = 2 * np.pi * np.arange(vertices) / vertices
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    turned = angles[None, :] - tissue.angle[:, None]
    stretch = np.sqrt(tissue.ratio)[:, None]
    size = tissue.radius * (1.0 if nucleus else tissue.reach)
    radial = size[:, None] / np.sqrt((np.cos(turned) / stretch) ** 2 + (np.sin(turned) * stretch) ** 2)
    radial = np.minimum(radial, bisector_limit(tissue, directions, 9.0))
    return np.asarray(tissue.xy[:, None, :] + radial[..., None] * directions)


def areas(corners: Float) -> Float:
    """Area of each polygon by the shoelace formula."""
    x, y = corners[..., 0], corners[..., 1]
    return np.asarray(np.abs((x * np.roll(y, -1, axis=1) - y * np.roll(x, -1, axis=1)).sum(axis=1)) / 2)
