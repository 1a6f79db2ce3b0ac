"""A made-up field of nuclei with known DAB, as H&E or IHC: elliptic nuclei that do not overlap, blur and noise."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from protocols.metrics.stain import H_DAB, H_EOSIN, StainPair
from protocols.seeds import generator

FIELD_UM = 128.0
RADIUS_UM = 3.5


def section(
    seed: int, dab: np.ndarray, *, mpp: float = 0.5, he: bool = False, white: float = 255.0, apart_um: float = 8.2
) -> tuple[np.ndarray, np.ndarray]:
    """uint8 RGB and labels int32 of one nucleus for each ``dab`` (log10 OD), in its order; H&E shows no DAB."""
    rng = generator(seed, "section")
    side = round(FIELD_UM / mpp)
    haematoxylin, other = np.full((side, side), 0.04), np.full((side, side), 0.15 if he else 0.02)
    labels = np.zeros((side, side), dtype=np.int32)
    y, x = (np.indices((side, side)) + 0.5) * mpp
    for number, (amount, centre) in enumerate(zip(dab, _centres(seed, len(dab), apart_um), strict=True), start=1):
        stretch, turn = rng.uniform(0.85, 1.15), rng.uniform(0, np.pi)
        across, along = x - centre[1], y - centre[0]
        u, v = across * np.cos(turn) + along * np.sin(turn), along * np.cos(turn) - across * np.sin(turn)
        inside = (u / stretch) ** 2 + (v * stretch) ** 2 <= RADIUS_UM**2
        haematoxylin[inside] = rng.uniform(0.25, 0.5) if he else rng.uniform(0.12, 0.3)
        other[inside] = other[inside] if he else amount
        labels[inside] = number
    grain = (1 + 0.1 * rng.standard_normal((side, side)) for _ in range(2))
    stains = (gaussian_filter(map_ * g, 0.35 / mpp) for map_, g in zip((haematoxylin, other), grain, strict=True))
    return painted(*stains, H_EOSIN if he else H_DAB, white, rng.normal(0, 2, (side, side, 3))), labels


def painted(
    haematoxylin: np.ndarray, other: np.ndarray, pair: StainPair, white: float, noise: np.ndarray | float = 0.0
) -> np.ndarray:
    """Beer-Lambert, uint8 RGB."""
    first, second = (np.array(vector) / np.linalg.norm(vector) for vector in (pair.haematoxylin, pair.other))
    od = haematoxylin[..., None] * first + other[..., None] * second
    return np.clip(np.rint(white * 10**-od + noise), 0, 255).astype(np.uint8)


def mixed_dab(seed: int, n: int = 100) -> np.ndarray:
    """Nuclei of the four classes in shares of the patch's own, spread within each class."""
    rng = generator(seed, "dab")
    kind = rng.choice(4, n, p=rng.dirichlet(np.ones(4)))
    return rng.uniform(np.array([0.0, 0.06, 0.26, 0.46])[kind], np.array([0.06, 0.26, 0.46, 0.9])[kind])


def _centres(seed: int, n: int, apart_um: float) -> list[np.ndarray]:
    rng, kept = generator(seed, "centres"), list[np.ndarray]()
    while len(kept) < n:
        place = rng.uniform(6, FIELD_UM - 6, 2)
        if all(np.hypot(*(place - other)) > apart_um for other in kept):
            kept.append(place)
    return kept
