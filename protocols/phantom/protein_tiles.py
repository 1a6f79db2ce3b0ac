"""Tiles of a slide and the law of their markers: what the tissue shows, what it hides, and the best prediction.

For marker m, cell i of tile t (``A`` the tile's area, ``area_i`` the cell's)::

    visible m:    value_t = gain [background + brightness sum_i (area_i / A) exp(vis_i + hid_i)] noise_t
    invisible m:  value_t = gain [background + brightness COVER exp(hid_t)] noise_t

``hid_i`` is Gaussian and independent of everything visible; a stated share of its variance is common to the tile's
cells. An invisible marker's level is that of the whole tile, shared out over its cells, so that neither their number
nor their size nor their types say anything about the value: it is *exactly* independent of what is visible.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from protocols.phantom.cell_types import TYPE_NAMES
from protocols.phantom.oracle import pearson
from protocols.phantom.protein_markers import MarkerLaw
from protocols.phantom.protein_settings import MPP, TILE_PX, ProteinSettings
from protocols.phantom.tissue import Float, Int, SlideName, Tissue
from protocols.seeds import generator

TILE_UM = TILE_PX * MPP
COVER = 0.5
"""Share of a tile that an invisible marker fills."""
SMOOTH_TILES = 1.2
"""Length of the smooth part of the hidden fields, in tiles."""
QUANTUM = 1.0 / 8192.0
"""The oracle is written in steps of 1/8192: no effect on r, and no processor's last bit in the file."""


@dataclass(frozen=True)
class Tiles:
    """The ``n`` tiles of a slide that hold a cell's centre, row by row.

    ``corner``: ``(n, 2)`` x and y of the upper left corner, level-0 pixels; ``place``: ``(n,)`` in the full lattice of
    ``side`` x ``side``; ``cells``: indices into the tissue, ``of``: the tile of each of them, ``(m,)`` both.
    """

    side: int
    corner: Int
    place: Int
    cells: Int
    of: Int

    def __len__(self) -> int:
        return len(self.place)


def tiles_of(tissue: Tissue, side: int) -> Tiles:
    """The lattice of tiles from the image's first pixel; the centre of pixel ``(0, 0)`` is the tissue's origin."""
    column, row = np.floor((tissue.xy + MPP / 2) / TILE_UM).astype(np.int64).T
    inside = np.flatnonzero((column < side) & (row < side))
    place, of = np.unique(row[inside] * side + column[inside], return_inverse=True)
    corner = np.stack([place % side, place // side], axis=1) * TILE_PX
    return Tiles(side, corner, place, inside, of.astype(np.int64))


def majority_type(tissue: Tissue, tiles: Tiles) -> list[str]:
    """The commonest cell type of each tile; of several as common, the first of ``TYPE_NAMES``."""
    count = np.zeros((len(tiles), len(TYPE_NAMES)), dtype=np.int64)
    np.add.at(count, (tiles.of, tissue.kind[tiles.cells]), 1)
    return [TYPE_NAMES[k] for k in count.argmax(axis=1)]


@dataclass(frozen=True)
class TileLaw:
    """The law of one slide's values given what is visible. ``visible``: ``(m, g)`` log-level of each cell, and
    ``area``: ``(m,)`` its share of the tile; per marker: the share visible, SD hidden, brightness, background, gain,
    offset of the scanner."""

    tiles: Tiles
    visible: Float
    area: Float
    share: Float
    hidden_sd: Float
    brightness: Float
    background: Float
    gain: Float
    offset: Float
    settings: ProteinSettings

    def _values(self, signal: Float) -> Float:
        """Values of a signal ``(n, g)``, before noise."""
        return np.asarray(self.gain * (self.background + self.brightness * signal) + self.offset)

    def _summed(self, level: Float) -> Float:
        """Area-weighted sums over the cells of each tile, ``(n, g)``."""
        out = np.zeros((len(self.tiles), level.shape[1]))
        np.add.at(out, self.tiles.of, self.area[:, None] * level)
        return out

    def expected(self) -> Float:
        """E[value | types, states and positions of the cells], ``(n, g)``, in closed form (log-normal means)."""
        mean = np.exp(self.hidden_sd**2 / 2)
        signal = np.where(self.share > 0, self._summed(np.exp(self.visible)) * mean, COVER * mean)
        return self._values(signal)

    def draw(self, rng: np.random.Generator) -> Float:
        """One replicate of all values, ``(n, g)``: new hidden levels and noise, the same tissue."""
        one = self.settings
        common = self._common(rng)
        own = rng.standard_normal(self.visible.shape)
        mixed = np.sqrt(one.regional_share) * common[self.tiles.of] + np.sqrt(1 - one.regional_share) * own
        seen = self._summed(np.exp(self.visible + self.hidden_sd * mixed))
        signal = np.where(self.share > 0, seen, COVER * np.exp(self.hidden_sd * common))
        noise = np.exp(one.noise * rng.standard_normal(signal.shape) - one.noise**2 / 2)
        return self._values(signal) * noise

    def _common(self, rng: np.random.Generator) -> Float:
        """What the cells of a tile have in common, ``(n, g)``: variance 1, partly smooth over the slide."""
        side, markers = self.tiles.side, self.visible.shape[1]
        impulse = np.zeros((side, side))
        impulse[0, 0] = 1.0
        scale = np.sqrt((gaussian_filter(impulse, SMOOTH_TILES, mode="wrap") ** 2).sum())
        white = rng.standard_normal((side, side, markers))
        smooth = gaussian_filter(white, (SMOOTH_TILES, SMOOTH_TILES, 0), mode="wrap") / scale
        smooth = smooth.reshape(side * side, markers)[self.tiles.place]
        own = rng.standard_normal(smooth.shape)
        return np.asarray(
            np.sqrt(self.settings.hidden_smooth) * smooth + np.sqrt(1 - self.settings.hidden_smooth) * own
        )


def tile_law(
    settings: ProteinSettings,
    seed: int,
    tissue: Tissue,
    laws: tuple[MarkerLaw, ...],
    side: int,
    *,
    external: bool = False,
) -> TileLaw:
    """The law of one slide; ``external`` adds another scanner's gain and offset, one pair a marker."""
    tiles = tiles_of(tissue, side)
    log_gain = settings.slide_gain * generator(seed, "protein gain", tissue.name.slide).standard_normal(len(laws))
    offset = np.zeros(len(laws))
    if external:
        rng = generator(seed, "protein scanner")
        log_gain = log_gain + settings.external_gain * rng.standard_normal(len(laws))
        offset = rng.uniform(0, settings.external_offset, len(laws))
    radius = tissue.radius[tiles.cells] * tissue.reach[tiles.cells]
    kind, states = tissue.kind[tiles.cells], tissue.states[tiles.cells]
    return TileLaw(
        tiles=tiles,
        visible=np.stack([law.visible(kind, states) for law in laws], axis=1),
        area=np.pi * radius**2 / TILE_UM**2,
        share=np.array([law.visible_share for law in laws]),
        hidden_sd=np.array([law.hidden_sd for law in laws]),
        brightness=np.array([law.brightness for law in laws]),
        background=np.array([law.background for law in laws]),
        gain=np.exp(log_gain),
        offset=offset,
        settings=settings,
    )


def written_values(law: TileLaw, seed: int, name: SlideName) -> Float:
    """The values in a slide's table, ``(n, g)``: at most 255 / 256, five decimals."""
    values = law.draw(generator(seed, "protein values", name.slide))
    return np.asarray(np.round(np.minimum(values, 255 / 256), 5))


def oracle_values(law: TileLaw) -> Float:
    """The oracle as written."""
    return np.asarray(np.round(law.expected() / QUANTUM) * QUANTUM)


def tile_reachable_r(law: TileLaw, oracle: Float, seed: int, name: SlideName) -> Float:
    """Mean Pearson r over a slide's tiles of the oracle with replicates that are written nowhere; 0 if invisible."""
    rng = generator(seed, "protein replicates", name.slide)
    rows = [pearson(oracle, law.draw(rng)) for _ in range(law.settings.replicate_draws)]
    mean = np.nan_to_num(np.stack(rows)).mean(axis=0)
    return np.where(law.share == 0, 0.0, np.round(mean, 5))
