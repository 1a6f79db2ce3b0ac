"""A cohort with bulk expression as the pipeline keeps it: one array and a description, read once from any format."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.bulk.cohort import BulkCohort
from protocols.contract import FloatArray, RowArray
from protocols.files import sha256_of, write_text_whole, written_whole
from protocols.spatial.store import SectionsStore
from protocols.splits import Exclusion
from protocols.stored_cohort import COHORT_FILE, read_cohort_file
from protocols.survival.cohort import SlideFile
from protocols.task import CohortRequest

EXPRESSION_FILE = "expression.npy"


class BulkStore:
    """Read access to a stored cohort. ``slide_patient`` ``(slides,)`` is the row of each slide's patient."""

    def __init__(self, folder: Path) -> None:
        record = read_cohort_file(folder)
        self.folder, self.name = folder, str(record["name"])
        self.phantom = bool(record["phantom"])
        self.patients: tuple[str, ...] = tuple(record["patients"])
        self.genes: tuple[str, ...] = tuple(record["genes"])
        self.gene_types: tuple[str, ...] = tuple(record["gene_types"])
        self.tissue: tuple[str, ...] | None = None if record["tissue"] is None else tuple(record["tissue"])
        self.slides = tuple(SlideFile(**slide) for slide in record["slides"])
        self.slide_hashes: tuple[str, ...] = tuple(record["slide_hashes"])
        self.excluded = tuple(Exclusion(**item) for item in record["excluded"])

    @cached_property
    def slide_patient(self) -> RowArray:
        place = {patient: row for row, patient in enumerate(self.patients)}
        return np.array([place[slide.patient] for slide in self.slides], dtype=np.int64)

    @cached_property
    def _expression(self) -> FloatArray:
        array: FloatArray = np.load(self.folder / EXPRESSION_FILE, mmap_mode="r", allow_pickle=False)
        return array

    def expression(self, patients: RowArray, genes: Sequence[str] | None = None) -> FloatArray:
        """log2(v + 1) of some patients (rows may repeat), float32 ``(rows, genes)``."""
        rows = np.asarray(self._expression[patients])
        return rows if genes is None else rows[:, self.columns(genes)]

    def columns(self, genes: Sequence[str]) -> NDArray[np.int64]:
        place = {gene: column for column, gene in enumerate(self.genes)}
        return np.array([place[gene] for gene in genes], dtype=np.int64)

    def slides_of(self, patients: RowArray) -> RowArray:
        """Rows of the slides of some patients, ascending."""
        return np.flatnonzero(np.isin(self.slide_patient, patients)).astype(np.int64)


def open_store(request: CohortRequest, folder: Path) -> BulkStore | SectionsStore:
    """The cohort in ``folder``, whose seal the engine has verified: slides, or sections."""
    return SectionsStore(folder) if request.entry.sections_of else BulkStore(folder)


def write_bulk_store(folder: Path, cohort: BulkCohort, *, phantom: bool, root: Path) -> BulkStore:
    """Store a checked cohort; ``cohort.json`` comes last, so a folder that has it is whole."""
    values = np.ascontiguousarray(cohort.expression, dtype=np.float32)
    with written_whole(folder / EXPRESSION_FILE) as part, part.open("wb") as file:
        np.save(file, values, allow_pickle=False)
    record: dict[str, Any] = {
        "name": cohort.name,
        "phantom": phantom,
        "patients": list(cohort.patients),
        "genes": list(cohort.genes),
        "gene_types": list(cohort.gene_types),
        "tissue": None if cohort.tissue is None else list(cohort.tissue),
        "slides": [asdict(slide) for slide in cohort.slides],
        "slide_hashes": [sha256_of(root / slide.path) for slide in cohort.slides],
        "excluded": [asdict(item) for item in cohort.excluded],
    }
    write_text_whole(folder / COHORT_FILE, json.dumps(record, indent=1) + "\n")
    return BulkStore(folder)
