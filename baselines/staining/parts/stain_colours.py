"""Colour deconvolution in optical density (Ruifrok and Johnston 2001), as the stain-transfer control needs it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from protocols.contract import CropArray

HAEMATOXYLIN, EOSIN, DAB = (0.65, 0.70, 0.29), (0.07, 0.99, 0.11), (0.27, 0.57, 0.78)
FULL_LIGHT = 255.0

Amounts = NDArray[np.float64]


def stain_matrix(first: tuple[float, ...], second: tuple[float, ...]) -> NDArray[np.float64]:
    """Unit colours of two stains and of what neither explains (their cross product), ``(3 stains, 3 channels)``."""
    rows = np.array([first, second, np.cross(first, second)])
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def unmixed(images: CropArray, stains: NDArray[np.float64]) -> Amounts:
    """Amounts of the three stains, ``(..., 3)``, in base-10 optical density; a black value counts as 1."""
    density = -np.log10(np.maximum(images, 1) / FULL_LIGHT)
    return np.asarray(density @ np.linalg.inv(stains))


def mixed(amounts: Amounts, stains: NDArray[np.float64]) -> CropArray:
    """The image, uint8, that holds these amounts."""
    light = FULL_LIGHT * 10.0 ** -(amounts @ stains)
    return np.round(light).clip(0, 255).astype(np.uint8)
