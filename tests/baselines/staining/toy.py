"""Patches made in memory whose IHC image is a fixed function of the H&E: blue nuclei, and those in pink turn brown."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from protocols.contract import Settings

BLUE, PINK, WHITE = (0.65, 0.70, 0.29), (0.07, 0.99, 0.11), 245.0
BROWN = (0.27, 0.57, 0.78)


@dataclass(frozen=True)
class ToyPatches:
    """Keeps the contract of training and of asking."""

    images: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    features: NDArray[np.float32]
    patch: NDArray[np.str_]
    patient: NDArray[np.str_]
    settings: Settings = field(default_factory=lambda: Settings(threads=1))
    workspace: Path | None = None
    marker: str = "ER"

    @property
    def pixels(self) -> int:
        return int(self.images.shape[1])

    def __len__(self) -> int:
        return len(self.images)

    def he(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        return self.images[rows]

    def ihc(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        return self.truth[rows]

    def embedding(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        return self.features[rows]

    def oracle(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        return self.truth[rows]

    def take(self, rows: NDArray[np.int64]) -> ToyPatches:
        parts = ("images", "truth", "features", "patch", "patient")
        return replace(self, **{name: getattr(self, name)[rows] for name in parts})


def toy(patches: int, *, seed: int = 0, pixels: int = 96, jitter: int = 0) -> ToyPatches:
    """``jitter``: the IHC is shifted by up to so many pixels, as a serial section is."""
    rng = np.random.default_rng(seed)
    he, ihc, features = [], [], []
    for _ in range(patches):
        share = rng.uniform(0.1, 0.9)
        positive, negative = (_spots(rng, pixels, count) for count in np.array([share, 1 - share]) * (pixels / 12) ** 2)
        texture = 0.15 + 0.2 * ndimage.gaussian_filter(rng.random((pixels, pixels)), 3) * 3
        he.append(_stained({BLUE: 0.9 * negative + 0.6 * positive, PINK: texture + 0.5 * positive}))
        brown = _stained({BLUE: 0.5 * negative + 0.1 * positive + 0.05, BROWN: 0.9 * positive})
        shift = rng.integers(-jitter, jitter + 1, 2) if jitter else (0, 0)
        ihc.append(ndimage.shift(brown, (*shift, 0), order=0, mode="nearest"))
        features.append([share, 1 - share, rng.normal()])
    names = np.array([f"s{seed}p{at}" for at in range(patches)])
    patients = np.array([f"s{seed}c{at % 4}" for at in range(patches)])
    return ToyPatches(np.stack(he), np.stack(ihc), np.array(features, dtype=np.float32), names, patients)


def _spots(rng: np.random.Generator, pixels: int, count: float) -> NDArray[np.float64]:
    field = np.zeros((pixels, pixels))
    np.add.at(field, tuple(rng.integers(0, pixels, (2, round(count)))), 1.0)
    return np.clip(ndimage.gaussian_filter(field, 2.5) * 40, 0, 1)


def _stained(stains: dict[tuple[float, ...], NDArray[np.float64]]) -> NDArray[np.uint8]:
    density = sum(amount[..., None] * np.array(colour) for colour, amount in stains.items())
    return np.round(WHITE * 10.0 ** -np.asarray(density)).clip(0, 255).astype(np.uint8)


def psnr(made: NDArray[np.uint8], truth: NDArray[np.uint8]) -> float:
    """Mean over patches, in dB."""
    error = np.square(made.astype(float) - truth).mean(axis=(1, 2, 3))
    return float(np.mean(10 * np.log10(255**2 / np.maximum(error, 1e-2))))
