"""Turns a stored cohort into what models are handed: views of a fold's training rows and test rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from protocols.contract import FloatArray, RowArray, Settings
from protocols.errors import UserError
from protocols.expression.store import CohortStore
from protocols.expression.targets import Targets, fold_targets
from protocols.expression.truth import ORACLE, of_cells
from protocols.expression.views import InputView, RowReader, TrainingView
from protocols.images.crops import CohortCrops
from protocols.images.source import CropSource
from protocols.task import CropSet, Opened

CELLS = "cells"
"""The only set of crops of a cohort."""


def crops(opened: Opened) -> list[CropSet]:
    """A crop around every unit; encoders see the part of it that their size says."""
    store: CohortStore = opened.store
    source, rows = cohort_crops(store, opened.entry.root), store.rows_of(store.slides)
    field = opened.settings.crop.field
    return [CropSet(CELLS, source, rows, whole_view=False, um=store.info.crop_um, field=field)]


class ViewMaker:
    """Makes the views of one cohort for one model. Test views are built without touching what was measured.

    ``workspace``: where a training may leave a checkpoint.
    """

    def __init__(
        self,
        store: CohortStore,
        settings: Settings,
        crops: CropSource,
        embedding: Path | None,
        truth: Path | None,
        workspace: Path | None = None,
    ) -> None:
        self._store, self._settings, self._crops, self._truth = store, settings, crops, truth
        self._workspace = workspace
        self._fitted: Targets | None = None
        self._embedding = embedding_reader(embedding) if embedding else None
        slides = store.slides
        self._slide = np.array([slide.slide for slide in slides])
        self._patient = np.array([slide.patient or f"unknown patient of {slide.slide}" for slide in slides])
        self._cancer = np.array([slide.cancer for slide in slides])

    def inputs(self, rows: RowArray, genes: Sequence[str]) -> InputView:
        """What a model is asked about: everything but the expression."""
        index = self._store.slide_index[rows]
        return InputView(
            rows=rows,
            genes=tuple(genes),
            slide=self._slide[index],
            patient=self._patient[index],
            cancer=self._cancer[index],
            xy_um=self._store.xy_um[rows],
            settings=self._settings,
            crop_source=self._crops,
            embedding_reader=self._embedding,
            oracle_reader=self._oracle_reader(genes) if self._truth else None,
        )

    def training(self, rows: RowArray, genes: Sequence[str]) -> TrainingView:
        """The same with targets for ``genes`` in the measure fitted on these very rows, and of a cohort of counts the
        raw counts of every gene that these slides measure."""
        given = {name: value for name, value in vars(self.inputs(rows, genes)).items() if name != "oracle_reader"}
        every = tuple(sorted(self._store.measured_genes(rows)))
        self._fitted = fold_targets(self._store, rows, genes)
        counted: dict[str, Any] = {}
        if self._store.measure.of == "counts":
            counts, measured, _ = self._store.counts(rows, every)
            counted = {"count_matrix": counts, "measured": measured}
        return TrainingView(
            **given,
            targets=self._fitted.of(self._store, rows),
            **counted,
            all_genes=every,
            workspace=self._workspace,
        )

    def in_measure_of(self, learnt: ViewMaker) -> None:
        """What is known of the truth is told in the measure fitted on another cohort's training rows."""
        self._fitted = learnt._fitted

    def _oracle_reader(self, genes: Sequence[str]) -> RowReader:
        store, truth = self._store, self._truth
        if truth is None:
            raise UserError("no truth", where="the cohort", expected="a phantom", remedy="set the cohort's truth")
        names, fitted = list(genes), self._fitted
        scale = fitted.scale if fitted is not None and fitted.genes == tuple(genes) else None

        def read(rows: RowArray) -> FloatArray:
            best = np.zeros((len(rows), len(names)), dtype=np.float32)
            index = store.slide_index[rows]
            for position in np.unique(index):
                slide, at = store.slides[position], np.flatnonzero(index == position)
                known = [name for name in names if name in slide.genes]
                cells = store.units["cell_id"].to_numpy()[rows[at]]
                columns = np.array([names.index(name) for name in known], dtype=np.int64)
                found = of_cells(truth, ORACLE, slide.slide, cells, known)
                best[np.ix_(at, columns)] = found.to_numpy(dtype=np.float32)
            return best if scale is None else scale.targets(best)  # a phantom knows intensities, not their measure

        return read


def embedding_reader(path: Path) -> RowReader:
    """Rows of a stored embedding, read through a memory map."""
    array = np.load(path, mmap_mode="r", allow_pickle=False)

    def read(rows: RowArray) -> FloatArray:
        return np.asarray(array[rows], dtype=np.float32)

    return read


def cohort_crops(store: CohortStore, root: Path) -> CohortCrops:
    """The cohort's images as a crop source; slides are opened when first needed."""
    return CohortCrops(
        slide_index=store.slide_index,
        xy_px=store.units[["x_px", "y_px"]].to_numpy(),
        images=[(root / slide.image, slide.mpp) for slide in store.slides],
        crop_um=store.info.crop_um,
        pixels=store.info.crop_pixels,
        names=store.units["cell_id"].to_numpy().astype(str) if store.info.unit == "tile" else None,
    )
