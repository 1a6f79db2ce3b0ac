"""Turns stored cohorts and sections into what models of bulk expression are handed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.bulk import truth
from protocols.bulk.contract import GroupedBy, SuperTiles
from protocols.bulk.store import BulkStore
from protocols.bulk.super_tiles import SuperTileFiles
from protocols.bulk.views import SlideTrainingView, SlideView
from protocols.contract import FloatArray, RowArray, Settings
from protocols.spatial.windows import Windows
from protocols.splits import Fold


class SlideViews:
    """Makes the views of one cohort for one model. Test views are built without touching an expression value.

    ``features`` is the folder of the cohort's super-tiles, None for a model without encoder; ``known`` the phantom's
    expectation by patient, for cards that need it; ``workspace`` the folder of the fit that survives a kill.
    """

    def __init__(
        self,
        store: BulkStore,
        settings: Settings,
        places: int,
        features: Path | None,
        known: Path | None,
        workspace: Path | None = None,
    ) -> None:
        self._store, self._settings, self._places, self._truth = store, settings, places, known
        self._workspace = workspace
        self._files = SuperTileFiles(features) if features else None
        self._slide = np.array([slide.slide for slide in store.slides])
        self._patient = np.array([slide.patient for slide in store.slides])

    def inputs(self, slides: RowArray, genes: tuple[str, ...]) -> SlideView:
        """What a model is asked about: slides, without the expression of their patients."""
        return SlideView(**self._given(slides, genes), oracle_reader=self._read_oracle if self._truth else None)

    def training(self, fold: Fold) -> SlideTrainingView:
        """Slides of a fold's training and validation patients with every gene that the cohort measures."""
        kept = self._store.slides_of(np.union1d(fold.train, fold.validation))
        patients = self._store.slide_patient[kept]
        return self._training(kept, np.isin(patients, fold.validation))

    def all_training(self) -> SlideTrainingView:
        """Every slide (normal tissue to pre-train on); nobody is kept for stopping."""
        slides = np.arange(len(self._store.slides), dtype=np.int64)
        return self._training(slides, np.zeros(len(slides), dtype=bool))

    def _training(self, slides: RowArray, validation: NDArray[np.bool_]) -> SlideTrainingView:
        targets = self._store.expression(self._store.slide_patient[slides])
        given = self._given(slides, self._store.genes)
        return SlideTrainingView(**given, targets=targets, validation=validation, workspace=self._workspace)

    def _given(self, slides: RowArray, genes: tuple[str, ...]) -> dict[str, Any]:
        return {
            "rows": slides,
            "genes": genes,
            "slide": self._slide[slides],
            "patient": self._patient[slides],
            "settings": self._settings,
            "places": self._places,
            "width": self._files.width if self._files else 0,
            "super_tile_reader": self._files.super_tiles if self._files else None,
            "mean_reader": self._files.mean if self._files else None,
        }

    def _read_oracle(self, slides: RowArray, genes: tuple[str, ...]) -> FloatArray:
        if self._truth is None:
            raise RuntimeError("no truth")
        return truth.of_patients(self._truth, self._patient[slides].tolist(), genes).to_numpy(np.float32)


def window_view(
    windows: Windows,
    rows: RowArray,
    tile_features: FloatArray | None,
    settings: Settings,
    genes: tuple[str, ...],
    section: str,
    patient: str,
    oracle: FloatArray | None,
) -> SlideView:
    """Some windows of a section as rows to be answered. ``tile_features`` ``(tiles, d)``; ``oracle`` ``(tiles, genes)``
    is what the phantom's cells say at each tile."""
    places = windows.tile.shape[1]

    def super_tiles(of: RowArray, _grouped_by: GroupedBy) -> SuperTiles:
        if tile_features is None:
            raise RuntimeError("windows without features")
        tile = windows.listed(of)
        features = np.where((tile >= 0)[..., None], tile_features[np.maximum(tile, 0)], np.float32(0))
        return SuperTiles(features, tile >= 0)

    def mean(of: RowArray) -> FloatArray:
        tiles = super_tiles(of, "features")
        counts = tiles.present.sum(axis=1, keepdims=True)
        return np.asarray(tiles.features.sum(axis=1, dtype=np.float64) / counts, dtype=np.float32)

    def best(of: RowArray, _genes: tuple[str, ...]) -> FloatArray:
        if oracle is None:
            raise RuntimeError("no truth")
        tile = windows.listed(of)
        weight = (tile >= 0)[..., None]
        return np.asarray((oracle[np.maximum(tile, 0)] * weight).sum(axis=1) / weight.sum(axis=1), dtype=np.float32)

    return SlideView(
        rows=rows,
        genes=genes,
        slide=np.array([f"{section} window {row}" for row in rows.tolist()]),
        patient=np.full(len(rows), patient),
        settings=settings,
        places=places,
        width=0 if tile_features is None else tile_features.shape[1],
        super_tile_reader=super_tiles if tile_features is not None else None,
        mean_reader=mean if tile_features is not None else None,
        oracle_reader=best if oracle is not None else None,
        windows=True,
    )


def oracle_of_tiles(
    folder: Path, section: str, row: RowArray, column: RowArray, tile_um: float, genes: tuple[str, ...]
) -> FloatArray:
    """The phantom's mean signal of each tile's cells, ``(tiles, genes)``; the section's mean where a tile has none.

    Genes that morphology does not show get the same value everywhere.
    """
    cells, law = truth.of_section(folder, section), truth.of_genes(folder, genes)
    kinds = law.filter(like="kind_").to_numpy(np.float64)
    traits = law.filter(like="look_").to_numpy(np.float64)
    signal = kinds[:, cells["kind"]].T + cells.filter(like="look_").to_numpy(np.float64) @ traits.T
    at = (cells[["y_um", "x_um"]].to_numpy(np.float64) / tile_um).astype(np.int64)
    place = {(r, c): tile for tile, (r, c) in enumerate(zip(row.tolist(), column.tolist(), strict=True))}
    tile = np.array([place.get((r, c), -1) for r, c in at.tolist()])
    there = tile >= 0
    total, times = np.zeros((len(row), len(genes))), np.zeros(len(row))
    np.add.at(total, tile[there], signal[there])
    np.add.at(times, tile[there], 1)
    means = np.where(times[:, None] > 0, total / np.maximum(times, 1)[:, None], signal.mean(axis=0))
    means[:, (law["visible_share"] == 0).to_numpy()] = 0.0
    return np.asarray(means, dtype=np.float32)
