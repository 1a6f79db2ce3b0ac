"""Cells of one slide: where they lie, what they are, and the shape each is drawn with.

All lengths are micrometres in the frame of the H&E image (x to the right, y down; the centre of pixel
``(0, 0)`` is the origin).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RectBivariateSpline
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from protocols.phantom.cell_types import CELL_TYPES, NICHES, RARE, STATES, TYPE_NAMES
from protocols.phantom.settings import PhantomSettings
from protocols.seeds import generator

Float = NDArray[np.float64]
Int = NDArray[np.int64]

NICHE_LENGTH_UM = 42.0
LUMEN_LENGTH_UM = 18.0
LUMEN_LEVEL = 2.1
STATE_LENGTH_UM = 30.0
STATE_SMOOTH_SHARE = 0.3


class SmoothField:
    """A stationary Gaussian random field, mean 0 and variance 1, known at any point of a square."""

    def __init__(self, rng: np.random.Generator, side_um: float, length_um: float) -> None:
        step, pad = length_um / 3.0, 10
        count = int(np.ceil(side_um / step)) + 1 + 2 * pad
        noise = gaussian_filter(rng.standard_normal((count, count)), 3.0 / np.sqrt(2.0), mode="wrap")
        # Filtering white noise with a Gaussian of deviation s leaves variance 1 / (4 pi s^2).
        noise *= np.sqrt(4.0 * np.pi * 9.0 / 2.0)
        axis = (np.arange(count) - pad) * step
        self._spline = RectBivariateSpline(axis, axis, noise)

    def at(self, xy: Float) -> Float:
        """Values at points ``(n, 2)`` of (x, y)."""
        return np.asarray(self._spline.ev(xy[:, 1], xy[:, 0]), dtype=np.float64)

    def image(self, pixels: int, mpp: float) -> Float:
        """Values at every pixel, ``(pixels, pixels)``."""
        axis = np.arange(pixels) * mpp
        return np.asarray(self._spline(axis, axis), dtype=np.float64)


@dataclass(frozen=True)
class SlideName:
    """Who a slide belongs to; every random draw of the slide is named by it."""

    cancer: str
    patient: str
    slide: str


@dataclass(frozen=True)
class Tissue:
    """Truth about one slide's ``n`` cells. ``states`` is ``(n, 4)`` in the order of ``STATES``.

    ``radius`` (equivalent nuclear, µm), ``ratio`` (long over short axis), ``angle`` (rad), ``density``,
    ``contrast``, ``clumps``, ``eosin``, ``basophilia``, ``reach``: as in :class:`cell_types.CellType`, per cell.
    """

    name: SlideName
    side_um: float
    xy: Float
    kind: Int
    niche: Int
    states: Float
    radius: Float
    ratio: Float
    angle: Float
    density: Float
    contrast: Float
    clumps: Float
    eosin: Float
    basophilia: Float
    reach: Float
    fibre: SmoothField
    lumen: SmoothField

    def __len__(self) -> int:
        return len(self.xy)


def standardised(values: Float) -> Float:
    """Mean 0 and variance 1 along the first axis; a constant column becomes 0."""
    centred = values - values.mean(axis=0)
    spread = centred.std(axis=0)
    return np.asarray(centred / np.where(spread > 1e-9, spread, np.inf))


def scatter_cells(rng: np.random.Generator, side: float, margin: float, spacing: float, lumen: SmoothField) -> Float:
    """Random points no two of which are nearer than ``spacing``, as dense as random throwing gets them."""
    kept = np.zeros((0, 2))
    batch = int((side / spacing) ** 2 * 1.5) + 8
    for _ in range(14):
        tried = rng.uniform(margin, side - margin, (batch, 2))
        tried = tried[lumen.at(tried) < LUMEN_LEVEL]
        if len(kept):
            tried = tried[cKDTree(kept).query(tried, distance_upper_bound=spacing)[0] > spacing]
        alive = np.ones(len(tried), dtype=bool)
        # Within a batch, of two points too near each other the one thrown first stays.
        for first, second in sorted(cKDTree(tried).query_pairs(spacing)) if len(tried) else ():
            if alive[first]:
                alive[second] = False
        kept = np.concatenate([kept, tried[alive]])
    return kept


def draw_niches(
    seed: int, name: SlideName, xy: Float, side: float, immune_bias: float = 0.0, length_um: float = NICHE_LENGTH_UM
) -> tuple[Int, Float]:
    """Niche of each cell, and how near the cell lies to the edge of a duct or tumour nest (0 to 1).

    ``immune_bias`` raises the immune niche's field, in its standard deviations; ``length_um`` is the niches' size.
    """
    bias = 0.25 * generator(seed, "niche bias", name.cancer).standard_normal(len(NICHES))
    bias[0] += 0.35
    bias[NICHES.index("immune")] += immune_bias
    fields = np.stack(
        [
            SmoothField(generator(seed, "niche", name.slide, niche), side, length_um).at(xy) + bias[i]
            for i, niche in enumerate(NICHES)
        ],
        axis=1,
    )
    nest = fields[:, :2].max(axis=1)
    edge = np.exp(-np.abs(nest - fields[:, 2:].max(axis=1)) / 0.25)
    return fields.argmax(axis=1), edge


def draw_kinds(settings: PhantomSettings, seed: int, name: SlideName, niche: Int, edge: Float) -> Int:
    """Cell types by the niche's proportions; then a stated share of cells, near nest edges, becomes the rare type."""
    table = np.array([kind.niches for kind in CELL_TYPES]).T
    cancer_tilt = 0.35 * generator(seed, "type tilt", name.cancer).standard_normal(len(CELL_TYPES))
    patient_tilt = 0.15 * generator(seed, "type tilt", name.patient).standard_normal(len(CELL_TYPES))
    table = table * np.exp(cancer_tilt + patient_tilt)
    cumulative = np.cumsum(table / table.sum(axis=1, keepdims=True), axis=1)
    rng = generator(seed, "types", name.slide)
    kind = (rng.random(len(niche))[:, None] > cumulative[niche]).sum(axis=1)
    low, high = settings.rare_share
    count = round(rng.uniform(low, high) * len(niche))
    # Gumbel keys: the largest `count` are a sample without replacement, weighted by nearness to the edge.
    keys = np.log(edge + 1e-6) + rng.gumbel(size=len(niche))
    kind[np.argsort(-keys, kind="stable")[:count]] = TYPE_NAMES.index(RARE)
    return np.asarray(kind, dtype=np.int64)


def draw_states(seed: int, name: SlideName, xy: Float, side: float) -> Float:
    """Visible states: partly smooth over the tissue, mostly the cell's own; mean 0, variance 1 on the slide."""
    columns = []
    for state in STATES:
        rng = generator(seed, "state", name.slide, state)
        smooth = SmoothField(rng, side, STATE_LENGTH_UM).at(xy)
        own = rng.standard_normal(len(xy))
        columns.append(np.sqrt(STATE_SMOOTH_SHARE) * smooth + np.sqrt(1 - STATE_SMOOTH_SHARE) * own)
    return np.clip(standardised(np.stack(columns, axis=1)), -2.8, 2.8)


def make_tissue(
    settings: PhantomSettings,
    seed: int,
    name: SlideName,
    *,
    immune_bias: float = 0.0,
    niche_um: float = NICHE_LENGTH_UM,
) -> Tissue:
    """All of one slide's cells; the same for the same seed and slide name, whatever else is generated."""
    side = (settings.image_px - 1) * settings.mpp
    lumen = SmoothField(generator(seed, "lumen", name.slide), side, LUMEN_LENGTH_UM)
    rng = generator(seed, "cells", name.slide)
    xy = scatter_cells(rng, side, settings.margin_um, settings.cell_spacing_um, lumen)
    niche, edge = draw_niches(seed, name, xy, side, immune_bias, niche_um)
    kind = draw_kinds(settings, seed, name, niche, edge)
    states = draw_states(seed, name, xy, side)
    size, elongation, chromatin, eosin = states.T
    of = {
        field: np.array([getattr(cell, field) for cell in CELL_TYPES])[kind]
        for field in ("radius", "ratio", "density", "contrast", "clumps", "eosin", "basophilia", "reach", "oriented")
    }
    fibre = SmoothField(generator(seed, "fibre", name.slide), side, 3 * NICHE_LENGTH_UM)
    along = np.pi * 0.6 * fibre.at(xy) + 0.25 * rng.standard_normal(len(xy))
    swelling = np.exp(0.17 * size)
    return Tissue(
        name=name,
        side_um=side,
        xy=xy,
        kind=kind,
        niche=niche.astype(np.int64),
        states=states,
        radius=of["radius"] * swelling,
        ratio=1.0 + (of["ratio"] - 1.0 + 0.22) * np.exp(0.45 * elongation),
        angle=np.where(of["oriented"] > 0, along, rng.uniform(0, np.pi, len(xy))),
        # A larger nucleus is paler: its haematoxylin is spread, so that mean colour does not give size away.
        density=of["density"] * swelling**-1.4 * np.exp(0.05 * rng.standard_normal(len(xy))),
        contrast=of["contrast"] * np.exp(0.35 * chromatin),
        clumps=np.clip(of["clumps"] + 0.2 * chromatin, 0.0, 1.0),
        eosin=of["eosin"] * np.exp(0.18 * eosin),
        basophilia=of["basophilia"],
        reach=of["reach"],
        fibre=fibre,
        lumen=lumen,
    )
