"""Made-up patches in memory for contract checks and tests: their IHC is a fixed function of the H&E, pixel by pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.contract import CropArray, FloatArray, RowArray, Settings
from protocols.seeds import generator
from protocols.staining.views import PatchTrainingView, PatchView

Float = NDArray[np.float64]
GLASS = 245.0
HAEMATOXYLIN, EOSIN = np.array([0.65, 0.70, 0.29]), np.array([0.07, 0.99, 0.11])
DAB = np.array([0.27, 0.57, 0.78])
"""Optical density of red, green and blue at amount 1."""
WIDTH = 6
"""Numbers in the toy's embedding: mean and spread of each channel."""
PARTS = ("patch", "patient", "validation")
READERS = ("he_reader", "ihc_reader", "embedding_reader", "oracle_reader")


def toy_patches(
    patients: int = 6, patches: int = 3, *, pixels: int = 64, seed: int = 0, settings: Settings | None = None
) -> PatchTrainingView:
    """``patches`` patches of each of ``patients``; blue nuclei, of which those in much eosin turn brown.

    The share of such nuclei differs between patients. The second patient is marked for stopping; the oracle is the IHC
    itself, since nothing is shifted; the embedding is :data:`WIDTH` statistics of the colours.
    """
    rng = generator(seed, "image toy")
    shares = np.repeat(rng.uniform(0.2, 0.8, patients), patches)
    he = np.stack([toy_he(share, pixels, generator(seed, "image toy patch", n)) for n, share in enumerate(shares)])
    owner = np.repeat(np.arange(patients), patches)
    statistics = np.concatenate([he.mean(axis=(1, 2)), he.std(axis=(1, 2))], axis=1) / 255
    features: FloatArray = statistics.astype(np.float32)
    ihc = toy_ihc(he)
    return PatchTrainingView(
        marker="ER",
        patch=np.array([f"toy-{n:03d}_0_0" for n in range(len(he))]),
        patient=np.array([f"patient-{n:02d}" for n in owner]),
        pixels=pixels,
        settings=settings or Settings(),
        he_reader=reader_of(he),
        embedding_reader=lambda rows: features[rows],
        oracle_reader=reader_of(ihc),
        ihc_reader=reader_of(ihc),
        validation=owner == 1,
    )


def toy_he(share: float, pixels: int, rng: np.random.Generator) -> CropArray:
    """One H&E image, uint8 ``(pixels, pixels, 3)``; ``share`` of its nuclei lie in much eosin."""
    plain, marked = (_spots(rng, pixels, part * (pixels / 12) ** 2) for part in (1 - share, share))
    texture = 0.15 + 0.6 * _smooth(rng.random((pixels, pixels)), 3)
    return _seen((0.9 * plain + 0.7 * marked, HAEMATOXYLIN), (texture + 0.6 * marked, EOSIN))


def toy_ihc(he: CropArray) -> CropArray:
    """The IHC of H&E images ``(..., 3)``: where both stains are, brown; haematoxylin alone stays blue, eosin goes."""
    density = -np.log10(np.maximum(he, 1) / GLASS)
    blue, pink = np.moveaxis(density @ np.linalg.pinv(np.stack([HAEMATOXYLIN, EOSIN])), -1, 0)
    blue = np.maximum(blue, 0)
    brown = blue * np.clip(2 * pink - 1, 0, 1)
    return _seen((0.05 + 0.5 * (blue - brown), HAEMATOXYLIN), (1.2 * brown, DAB))


def take(view: Any, rows: RowArray | Sequence[int]) -> Any:
    """The same kind of view of some rows, which may repeat and come in any order."""
    at = np.asarray(rows, dtype=np.int64)
    given = {name: _of(getattr(view, name), at) for name in READERS if getattr(view, name, None) is not None}
    parts = {name: getattr(view, name)[at] for name in PARTS if hasattr(view, name)}
    return replace(view, **parts, **given)


def inputs_of(view: PatchTrainingView) -> PatchView:
    """The same patches as a test set: nothing of the IHC is left but through the oracle."""
    return PatchView(
        view.marker,
        view.patch,
        view.patient,
        view.pixels,
        view.settings,
        view.he_reader,
        view.embedding_reader,
        view.oracle_reader,
    )


def reader_of(images: CropArray) -> Any:
    """Hands out copies: what a model does to an image stays with that model."""
    return lambda rows: images[np.asarray(rows, dtype=np.int64)]


def _of(read: Any, at: RowArray) -> Any:
    return lambda rows: read(at[rows])


def _spots(rng: np.random.Generator, pixels: int, count: float) -> Float:
    field = np.zeros((pixels, pixels))
    np.add.at(field, tuple(rng.integers(0, pixels, (2, round(count)))), 1.0)
    return np.clip(_smooth(field, 2.5) * 40, 0, 1)


def _smooth(field: Float, sigma: float) -> Float:
    from scipy.ndimage import gaussian_filter

    return np.asarray(gaussian_filter(field, sigma), dtype=np.float64)


def _seen(*stains: tuple[Any, Float]) -> CropArray:
    density = np.asarray(sum(amount[..., None] * colour for amount, colour in stains))
    return np.clip(np.rint(GLASS * 10.0**-density), 0, 255).astype(np.uint8)


def mean_image(view: PatchTrainingView, rows: RowArray) -> FloatArray:
    """Mean IHC of some rows, ``(p, p, 3)``: what a model that ignores its input can reach."""
    return np.asarray(view.ihc(rows).mean(axis=0), dtype=np.float32)
