"""Maps of forty markers over a patient's slide: how many tiles are positive is everybody's, where they lie is not.

Each marker's positive tiles are the ``positive`` highest of a smooth field over 16 x 24 tiles: the same number for
every patient. Two pairs share their fields, CD8 with CD4 by the patient's factor *lymphoid* and CD163 with CD66b by
*myeloid*::

    field_B = rho field_A + sqrt(1 - rho²) own,   rho = tanh(closeness z)

so z moves which tiles coincide and, exactly, no marker's mean.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from protocols.phantom.protein_markers import MARKERS
from protocols.phantom.protein_settings import ProteinSettings
from protocols.phantom.tissue import Float
from protocols.seeds import generator

PAIRED = {"CD4": ("CD8", "lymphoid"), "CD66b": ("CD163", "myeloid")}
"""Marker -> whose field it shares, by which factor."""
PAIRS = (("CD8", "CD4"), ("CD8", "CD163"), ("CD163", "CD66b"), ("CD4", "CD66b"))
"""Pairs in the table of patients; the second and the fourth lie independently of each other."""
FIELD_TILES = 1.3
LOW, HIGH = 0.06, 0.45
SPREAD = 0.25
"""A tile's value: LOW or HIGH, times exp(SPREAD noise) and the patient's level of the marker."""
STEP = 1.0 / 64.0
"""Maps are written in steps of 1/64."""


def positive_tiles(settings: ProteinSettings, seed: int, patient: str, factors: dict[str, float]) -> NDArray[np.bool_]:
    """``(markers, rows, columns)``: exactly ``settings.positive`` tiles of each marker."""
    fields: dict[str, Float] = {}
    for marker in MARKERS:
        rng = generator(seed, "protein field", patient, marker)
        own = gaussian_filter(rng.standard_normal((settings.rows, settings.columns)), FIELD_TILES, mode="wrap")
        own = (own - own.mean()) / own.std()
        if marker in PAIRED:
            other, factor = PAIRED[marker]
            rho = np.tanh(settings.closeness * factors[factor])
            own = rho * fields[other] + np.sqrt(1 - rho**2) * own
        fields[marker] = own
    out = np.zeros((len(MARKERS), settings.rows * settings.columns), dtype=np.bool_)
    for row, marker in enumerate(MARKERS):
        out[row, np.argsort(-fields[marker].ravel(), kind="stable")[: settings.positive]] = True
    return out.reshape(len(MARKERS), settings.rows, settings.columns)


def marker_maps(
    settings: ProteinSettings, seed: int, patient: str, factors: dict[str, float], log_level: Float
) -> Float:
    """Maps ``(markers, rows, columns)`` in steps of :data:`STEP`; ``log_level``: ``(markers,)`` of this patient."""
    positive = positive_tiles(settings, seed, patient, factors)
    noise = generator(seed, "protein map", patient).standard_normal(positive.shape)
    value = np.where(positive, HIGH, LOW) * np.exp(SPREAD * noise + log_level[:, None, None])
    return np.asarray(np.round(value / STEP) * STEP)


def co_occurrence(first: Float, second: Float, positive: int) -> float:
    """How much oftener than by chance two maps are high in the same tiles: observed / expected - 1.

    High are the ``positive`` highest tiles of a map (of equals the first); ``positive² / tiles`` coincide by chance.
    """
    high = [set(np.argsort(-one.ravel(), kind="stable")[:positive].tolist()) for one in (first, second)]
    return len(high[0] & high[1]) * first.size / positive**2 - 1


def features(settings: ProteinSettings, maps: Float) -> dict[str, float]:
    """What a patient's table says: ``mean_<marker>`` and ``niche_<A>_<B>``, six decimals."""
    means = {f"mean_{marker}": round(float(maps[k].mean()), 6) for k, marker in enumerate(MARKERS)}
    place = {marker: k for k, marker in enumerate(MARKERS)}
    niches = {
        f"niche_{a}_{b}": round(co_occurrence(maps[place[a]], maps[place[b]], settings.positive), 6) for a, b in PAIRS
    }
    return means | niches


def token_file(maps: Float) -> bytes:
    """An HDF5 file with ``features``, float16 ``(markers, rows * columns)``: a token a marker, the map row by row."""
    import h5py

    buffer = io.BytesIO()
    with h5py.File(buffer, "w", track_order=False) as file:
        file.create_dataset(
            "features",
            data=maps.reshape(len(maps), -1).astype(np.float16),
            chunks=(len(maps), maps[0].size),
            compression="gzip",
            compression_opts=9,
            shuffle=True,
            track_times=False,
        )
    return buffer.getvalue()
