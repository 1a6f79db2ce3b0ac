"""Made-up slides with bulk expression in memory, for contract checks and tests: a cohort, windows, normal tissue."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.bulk.cohort import donor_row
from protocols.bulk.contract import GroupedBy, SuperTiles
from protocols.bulk.views import SlideTrainingView, SlideView
from protocols.contract import FloatArray, RowArray, Settings
from protocols.seeds import generator
from protocols.spatial.windows import lay_windows

SIDE = 4
PLACES = SIDE * SIDE
WIDTH = 12
STATES = 3
GENES = tuple(f"GENE{k}" for k in range(24))
OF_NORMAL = (*GENES[4:14], *(f"NORMAL{k}" for k in range(6)))
"""Normal tissue measures other genes, and some of the same ones."""
OF_SECTION = GENES[::-2]
"""Genes that a section has, too: fewer, and in another order than the cohort's."""


@dataclass(frozen=True, eq=False)
class _Tiles:
    """Tiles of one slide: features ``(t, WIDTH)`` and places ``(t, 2)``."""

    features: FloatArray
    place: NDArray[np.float64]


def toy_slides(patients: int = 60, *, seed: int = 0, settings: Settings | None = None) -> SlideTrainingView:
    """Slides of ``patients``, every fourth with two; 2 to 30 tiles, so that some have fewer than ``PLACES``.

    Three hidden numbers of a patient move both tiles and genes (half the genes strongly, half hardly). ``oracle()`` is
    a gene's mean given them. A tenth of the patients is kept for stopping, as in the protocol.
    """
    rng = generator(seed, "bulk toy")
    names = [f"toy-{k:03d}" for k in range(patients)]
    state = rng.normal(size=(patients, STATES))
    owner = np.sort(np.concatenate([np.arange(patients), np.arange(0, patients, 4)]))
    best = np.maximum(6.0 + state @ _effect(GENES), 0.0)
    measured = np.maximum(best + 0.5 * rng.normal(size=best.shape), 0.0)
    tiles = [_slide(generator(seed, "bulk toy slide", str(row)), state[of]) for row, of in enumerate(owner.tolist())]
    column = {gene: k for k, gene in enumerate(GENES)}
    return SlideTrainingView(
        rows=np.arange(len(owner), dtype=np.int64),
        genes=GENES,
        slide=np.array([f"slide-{row:03d}" for row in range(len(owner))]),
        patient=np.array([names[of] for of in owner]),
        settings=settings or Settings(),
        places=PLACES,
        width=WIDTH,
        super_tile_reader=lambda rows, grouped_by: _super_tiles([tiles[row] for row in rows.tolist()], grouped_by),
        mean_reader=lambda rows: np.stack([tiles[row].features.mean(axis=0) for row in rows.tolist()]),
        oracle_reader=lambda rows, genes: best[owner[rows]][:, [column[gene] for gene in genes]].astype(np.float32),
        targets=measured[owner].astype(np.float32),
        validation=owner % 10 == 3,
    )


def toy_normal(donors: int = 24, *, seed: int = 0, settings: Settings | None = None) -> SlideTrainingView:
    """Normal tissue to pre-train on: z-scores of other genes, two tissues a donor, nobody kept for stopping."""
    rng = generator(seed, "bulk toy normal")
    state = rng.normal(size=(2 * donors, STATES))
    tiles = [_slide(generator(seed, "bulk toy normal slide", str(row)), one) for row, one in enumerate(state)]
    targets = state @ _effect(OF_NORMAL) + 0.5 * rng.normal(size=(2 * donors, len(OF_NORMAL)))
    rows = [donor_row(f"donor-{k:02d}", tissue) for k in range(donors) for tissue in ("brain", "lung")]
    return SlideTrainingView(
        rows=np.arange(len(rows), dtype=np.int64),
        genes=OF_NORMAL,
        slide=np.array([f"normal-{k:03d}" for k in range(len(rows))]),
        patient=np.array(rows),
        settings=settings or Settings(),
        places=PLACES,
        width=WIDTH,
        super_tile_reader=lambda rows, grouped_by: _super_tiles([tiles[row] for row in rows.tolist()], grouped_by),
        mean_reader=lambda rows: np.stack([tiles[row].features.mean(axis=0) for row in rows.tolist()]),
        targets=targets.astype(np.float32),
        validation=np.zeros(len(rows), dtype=bool),
    )


def toy_windows(*, seed: int = 0, settings: Settings | None = None) -> SlideView:
    """Windows of ``SIDE`` x ``SIDE`` tiles over a section of 7 x 9 tiles with holes; the state runs from left to right.

    Some windows lack their first tile, and all that are answered hold more tissue than not.
    """
    rng = generator(seed, "bulk toy section")
    row, column = (axis.ravel() for axis in np.mgrid[0:7, 0:9])
    tissue = rng.random(len(row)) < 0.85
    row, column = row[tissue].astype(np.int64), column[tissue].astype(np.int64)
    state = (column[:, None] / 4.0 - 1.0) * np.array([1.0, -0.5, 0.2])
    features = _features(rng, state)
    best = np.maximum(6.0 + state @ _effect(GENES), 0.0)
    tile = lay_windows(row, column, SIDE).tile
    place = {gene: k for k, gene in enumerate(GENES)}

    def super_tiles(rows: RowArray, _grouped_by: GroupedBy) -> SuperTiles:
        there = tile[rows] >= 0
        return SuperTiles(np.where(there[..., None], features[np.maximum(tile[rows], 0)], np.float32(0)), there)

    def mean(rows: RowArray) -> FloatArray:
        return np.stack([features[tile[row][tile[row] >= 0]].mean(axis=0) for row in rows.tolist()])

    def oracle(rows: RowArray, genes: tuple[str, ...]) -> FloatArray:
        columns = [place[gene] for gene in genes]
        found = [best[tile[row][tile[row] >= 0]][:, columns].mean(axis=0) for row in rows.tolist()]
        return np.array(found, dtype=np.float32)

    return SlideView(
        rows=np.arange(len(tile), dtype=np.int64),
        genes=OF_SECTION,
        slide=np.array([f"section window {k}" for k in range(len(tile))]),
        patient=np.full(len(tile), "toy-section"),
        settings=settings or Settings(),
        places=PLACES,
        width=WIDTH,
        super_tile_reader=super_tiles,
        mean_reader=mean,
        oracle_reader=oracle,
        windows=True,
    )


def take(view: SlideView, positions: RowArray) -> Any:
    """The same view of some of its rows, in the order given; of training slides with their expression."""
    taken = {name: getattr(view, name)[positions] for name in ("rows", "slide", "patient")}
    if isinstance(view, SlideTrainingView):
        taken |= {"targets": view.targets[positions], "validation": view.validation[positions]}
    return replace(view, **taken)


def inputs_of(view: SlideTrainingView) -> SlideView:
    """The slides without expression."""
    asked = {one.name for one in fields(SlideView)}
    return SlideView(**{name: value for name, value in vars(view).items() if name in asked})


def retold(view: SlideView, change: Callable[[SuperTiles], SuperTiles]) -> SlideView:
    """The view with its super-tiles changed on the way to the model; mean features stay."""
    read = view.super_tile_reader
    if read is None:
        return view
    return replace(view, super_tile_reader=lambda rows, grouped_by: change(read(rows, grouped_by)))


def of_one_tile(view: SlideView, place: int) -> SlideView:
    """Every row has a single super-tile, its first, at ``place``."""

    def alone(found: SuperTiles) -> SuperTiles:
        features, present = np.zeros_like(found.features), np.zeros_like(found.present)
        first = found.features[np.arange(len(present)), found.present.argmax(axis=1)]
        features[:, place], present[:, place] = first, True
        return SuperTiles(features, present)

    return retold(view, alone)


def _effect(genes: tuple[str, ...]) -> NDArray[np.float64]:
    """``(STATES, genes)``: one biology, whatever the cohort; a gene by its own name, every second one hardly seen."""
    columns = [generator(0, "bulk toy gene", gene).normal(size=STATES) for gene in genes]
    seen = [0.1 if int(gene[-1]) % 2 else 1.0 for gene in genes]
    return np.asarray(np.stack(columns, axis=1) * np.array(seen))


def _features(rng: np.random.Generator, state: NDArray[np.float64]) -> FloatArray:
    """Tiles of states ``(t, STATES)``: linear in them, with noise and away from zero, which marks absence."""
    loading = generator(0, "bulk toy tile").normal(size=(STATES, WIDTH))
    return np.asarray(2.0 + state @ loading + rng.normal(size=(len(state), WIDTH)), dtype=np.float32)


def _slide(rng: np.random.Generator, state: NDArray[np.float64]) -> _Tiles:
    count = int(rng.integers(2, 31))
    return _Tiles(_features(rng, np.tile(state, (count, 1))), rng.random((count, 2)))


def _super_tiles(slides: list[_Tiles], grouped_by: GroupedBy) -> SuperTiles:
    """Means of ``PLACES`` runs of tiles, sorted by what they are grouped by: no k-means, but a grouping as much."""
    features = np.zeros((len(slides), PLACES, WIDTH), dtype=np.float32)
    present = np.zeros((len(slides), PLACES), dtype=bool)
    for row, slide in enumerate(slides):
        parts = [np.array([k]) for k in range(len(slide.features))]
        if len(parts) > PLACES:
            by = slide.features if grouped_by == "features" else slide.place
            parts = np.array_split(np.lexsort(by.T), PLACES)
        for place, part in enumerate(parts):
            features[row, place] = slide.features[part].mean(axis=0)
            present[row, place] = True
    return SuperTiles(features, present)
