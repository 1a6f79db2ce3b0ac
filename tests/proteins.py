"""Small cohorts of proteins in memory and on disk: tiles on a lattice, markers with and without a trace in the crop."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.contract import FloatArray
from protocols.expression.cohort import SlideData, SlideEntry, Unit
from protocols.expression.settings import ExpressionSettings
from protocols.expression.store import CohortInfo, CohortStore, write_store
from protocols.protocol import Board, Protocol
from protocols.registry import load_protocol
from protocols.task import CohortRequest, Opened, Question

MARKERS = ("CD8", "CD3e", "Pan-Cytokeratin", "Empty")
"""The last is nothing everywhere."""
SIDE = 9
"""Tiles along a slide's side."""


@dataclass(frozen=True)
class ProteinSlide:
    slide: str
    patient: str | None
    markers: tuple[str, ...] = MARKERS
    gain: float = 1.0
    """Of the scanner: all intensities are multiplied by it."""
    annotated: bool = True
    side: int = SIDE


def intensities_of(spec: ProteinSlide, seed: int = 0) -> FloatArray:
    """Gamma-distributed means, float32; CD8 high in the upper half, where T cells are, cytokeratin in the lower."""
    rng = np.random.default_rng([seed, *spec.slide.encode()])
    upper = labels_of(spec) == "T cell"
    columns = {
        "CD8": rng.gamma(2.0, 5.0, upper.size) + 30.0 * upper,
        "CD3e": rng.gamma(2.0, 8.0, upper.size) + 10.0 * upper,
        "Pan-Cytokeratin": rng.gamma(3.0, 4.0, upper.size) + 40.0 * ~upper,
        "Empty": np.zeros(upper.size),
        "Other": rng.gamma(2.0, 3.0, upper.size),
    }
    values: FloatArray = (spec.gain * np.stack([columns[name] for name in spec.markers], axis=1)).astype(np.float32)
    return values


def labels_of(spec: ProteinSlide) -> NDArray[np.str_]:
    row = np.repeat(np.arange(spec.side), spec.side)
    return np.where(row < spec.side // 2, "T cell", "tumour")


def protein_slide(spec: ProteinSlide, unit: Unit = "tile", seed: int = 0) -> SlideData:
    row, column = np.divmod(np.arange(spec.side**2), spec.side)
    units = pd.DataFrame(
        {
            "cell_id": [f"{spec.slide}-{place}" for place in range(len(row))],
            "x_px": 112.0 + 224.0 * column,
            "y_px": 112.0 + 224.0 * row,
        }
    )
    labels = labels_of(spec)
    labels = np.where(np.arange(len(labels)) % 7 == 0, "", labels)  # some are left open
    return SlideData(
        entry=SlideEntry(spec.slide, spec.patient, "lung", {}),
        unit=unit,
        image=Path(f"{spec.slide}.tif"),
        mpp=0.5,
        units=units,
        genes=spec.markers,
        counts=None,
        intensities=intensities_of(spec, seed),
        cell_type=labels if spec.annotated else None,
    )


def six_slides() -> list[ProteinSlide]:
    """Five patients, one of them with two slides, one slide brighter than the others, one without annotation."""
    return [
        ProteinSlide("s1", "p1"),
        ProteinSlide("s2", "p2", gain=3.0),
        ProteinSlide("s3", "p3", annotated=False),
        ProteinSlide("s4", "p4", markers=("Pan-Cytokeratin", "CD8", "Empty")),
        ProteinSlide("s5", "p5"),
        ProteinSlide("s6", "p5"),
    ]


def external_slides() -> list[ProteinSlide]:
    """Another scanner, another panel in another order."""
    return [
        ProteinSlide("e1", "q1", markers=("Other", "Pan-Cytokeratin", "CD8"), gain=0.5),
        ProteinSlide("e2", "q2", markers=("CD8", "Other", "Pan-Cytokeratin"), gain=0.5),
    ]


def protein_store(
    slides: list[ProteinSlide] | list[SlideData], folder: Path, measure: str = "percentile99", unit: Unit = "tile"
) -> CohortStore:
    """A stored cohort of the slides, or of what they were changed to."""

    def read() -> Iterator[SlideData]:
        for slide in slides:
            yield slide if isinstance(slide, SlideData) else protein_slide(slide, unit)

    return write_store(folder, CohortInfo(folder.name, False, unit, 112.0, 224, measure), read(), folder)


def settings_of(**split: Any) -> ExpressionSettings:
    return ExpressionSettings.model_validate({"split": {"min_units": 20, **split}})


def opened(store: CohortStore, name: str, settings: ExpressionSettings | None = None) -> Opened:
    entry: Any = SimpleNamespace(truth=None, published_in=None, root=store.folder, external=None)
    return Opened(CohortRequest("expression", name, entry, settings or settings_of(), 0), store, "", store.folder)


def question_of(
    store: CohortStore, other: CohortStore | None = None, *, external: bool = False, **split: Any
) -> Question:
    """The question of the development cohort, or of the external one, with the folds of ``codex_protein``."""
    own: Protocol = load_protocol("codex_protein")
    settings = settings_of(**split)
    folds = own.split(store, settings, 0)  # type: ignore[misc]
    cohort = opened(store, store.info.name, settings)
    companions = {} if other is None else {other.info.name: opened(other, other.info.name)}
    asked = replace(cohort) if other is None or not external else companions[other.info.name]
    protocol = load_protocol("codex_external") if external else own
    board = Board(protocol.name, asked.name, asked.name, cohort.name)
    return Question(protocol, board, cohort, companions, folds, 0)
