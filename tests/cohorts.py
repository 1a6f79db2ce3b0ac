"""Small cohorts in memory and on disk, for tests of splits, audits, stages and scores."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from protocols.expression.cohort import SlideData, SlideEntry
from protocols.expression.store import CohortInfo, CohortStore, write_store
from protocols.sealed import write_seal

CROP_UM = 32.0


@dataclass(frozen=True)
class SlideSpec:
    """One made-up slide: ``n`` units scattered over ``side_um`` micrometres."""

    slide: str
    patient: str | None
    cancer: str
    genes: tuple[str, ...] = ("A", "B", "C", "D")
    n: int = 120
    side_um: float = 300.0


def slide_data(spec: SlideSpec, seed: int = 0) -> SlideData:
    rng = np.random.default_rng([seed, *spec.slide.encode()])
    mpp = 0.5
    xy = rng.uniform(0, spec.side_um / mpp, (spec.n, 2))
    counts = rng.poisson(np.linspace(1, 6, len(spec.genes)), (spec.n, len(spec.genes))).astype(np.int32)
    return SlideData(
        entry=SlideEntry(spec.slide, spec.patient, spec.cancer, {}),
        unit="cell",
        image=Path(f"{spec.slide}.tif"),
        mpp=mpp,
        units=pd.DataFrame(
            {"cell_id": [f"{spec.slide}-{i}" for i in range(spec.n)], "x_px": xy[:, 0], "y_px": xy[:, 1]}
        ),
        genes=spec.genes,
        counts=sparse.csr_matrix(counts),
    )


def store_of(specs: list[SlideSpec], folder: Path, seed: int = 0) -> CohortStore:
    info = CohortInfo("made up", False, "cell", CROP_UM, 64)
    return write_store(folder, info, _slides(specs, seed), folder)


def _slides(specs: list[SlideSpec], seed: int) -> Iterator[SlideData]:
    for spec in specs:
        yield slide_data(spec, seed)


def six_patients() -> list[SlideSpec]:
    """Two cancers of two patients, one cancer of one patient with two slides, and a slide of nobody known."""
    return [
        SlideSpec("s1", "p1", "breast", ("A", "B", "C", "E")),
        SlideSpec("s2", "p2", "breast", ("A", "B", "C")),
        SlideSpec("s3", "p3", "lung", ("A", "B", "D")),
        SlideSpec("s4", "p4", "lung", ("A", "B", "D")),
        SlideSpec("s5", "p5", "skin"),
        SlideSpec("s6", "p5", "skin"),
        SlideSpec("s7", None, "lung", ("A", "B", "D")),
    ]


def folder_hash(folder: Path) -> str:
    """What a seal says of a folder's bytes."""
    return write_seal(folder, "cohort", {}).hash


def real_data(name: str) -> Path:
    """A folder of the real development data; the test is skipped, with the reason, where it is not at hand."""
    if "SLIDE2OMICS_REAL_DATA" not in os.environ:
        pytest.skip("SLIDE2OMICS_REAL_DATA is not set")
    return Path(os.environ["SLIDE2OMICS_REAL_DATA"]) / name
