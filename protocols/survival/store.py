"""A cohort of patients as the pipeline keeps it: its tables and a description, read once from any format."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from protocols.contract import FloatArray, RowArray
from protocols.files import sha256_of, write_text_whole, written_whole
from protocols.splits import Exclusion
from protocols.stored_cohort import COHORT_FILE, read_cohort_file
from protocols.survival.cohort import PatientCohort, PublishedFold, SlideFile
from protocols.survival.contract import EventArray, TimeArray
from protocols.task import CohortRequest

TABLES = ("outcome", "clinical", "genomic")
PROTEINS = "proteins"
"""A table that is stored only where a cohort has it."""


@dataclass(frozen=True)
class PatientInfo:
    """What a cohort is called, whether its truth is known, and what was waited for."""

    name: str
    phantom: bool
    endpoint: str


class PatientStore:
    """Read access to a stored cohort; row numbers are places in ``patients``, which is sorted."""

    def __init__(self, folder: Path) -> None:
        record = read_cohort_file(folder)
        self.folder = folder
        self.info = PatientInfo(**record["info"])
        self.patients: tuple[str, ...] = tuple(record["patients"])
        self.slides = tuple(SlideFile(**slide) for slide in record["slides"])
        self.slide_hashes: tuple[str, ...] = tuple(record["slide_hashes"])
        self.signatures = {name: tuple(genes) for name, genes in record["signatures"].items()}
        self.excluded = tuple(Exclusion(**item) for item in record["excluded"])
        folds = record["folds"]
        self.folds = None if folds is None else tuple(
            PublishedFold(fold["name"], tuple(fold["train"]), tuple(fold["test"]), tuple(fold.get("faults", ())))
            for fold in folds
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.patients)

    @cached_property
    def time(self) -> TimeArray:
        return self._table("outcome")["time"].to_numpy(np.float64)

    @cached_property
    def event(self) -> EventArray:
        return self._table("outcome")["event"].to_numpy(bool)

    @cached_property
    def clinical_features(self) -> tuple[str, ...]:
        return tuple(self._table("clinical").columns)

    @cached_property
    def clinical(self) -> FloatArray:
        return self._table("clinical").to_numpy(np.float32)

    @cached_property
    def genomic_features(self) -> tuple[str, ...]:
        return tuple(self._table("genomic").columns)

    @cached_property
    def genomic(self) -> FloatArray:
        return self._table("genomic").to_numpy(np.float32)

    @cached_property
    def protein_features(self) -> tuple[str, ...]:
        return tuple(self._proteins.columns)

    @cached_property
    def proteins(self) -> FloatArray:
        return self._proteins.to_numpy(np.float32)

    @cached_property
    def _proteins(self) -> pd.DataFrame:
        if not (self.folder / f"{PROTEINS}.parquet").exists():
            return pd.DataFrame(index=range(len(self.patients)))
        return self._table(PROTEINS)

    def rows_of(self, patients: Sequence[str]) -> RowArray:
        """Row numbers of some patients, ascending."""
        place = {patient: row for row, patient in enumerate(self.patients)}
        return np.array(sorted(place[patient] for patient in patients), dtype=np.int64)

    def _table(self, name: str) -> pd.DataFrame:
        # A Parquet file without columns forgets how many rows it had: a cohort may have no genomic table at all.
        return pd.read_parquet(self.folder / f"{name}.parquet").reindex(range(len(self.patients)))


def open_store(_request: CohortRequest, folder: Path) -> PatientStore:
    """The cohort in ``folder``, whose seal the engine has verified."""
    return PatientStore(folder)


def write_patient_store(folder: Path, cohort: PatientCohort, *, phantom: bool, root: Path) -> PatientStore:
    """Store a checked cohort; ``cohort.json`` comes last, so a folder that has it is whole."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (*TABLES, PROTEINS) if len(cohort.proteins.columns) else TABLES:
        table: pd.DataFrame = getattr(cohort, name)
        with written_whole(folder / f"{name}.parquet") as part:
            table.reset_index(drop=True).to_parquet(part, compression="zstd", index=False)
    record: dict[str, Any] = {
        "info": asdict(PatientInfo(cohort.name, phantom, cohort.endpoint)),
        "patients": list(cohort.outcome.index),
        "signatures": {name: list(genes) for name, genes in cohort.signatures.items()},
        "slides": [asdict(slide) for slide in cohort.slides],
        "slide_hashes": [sha256_of(root / slide.path) for slide in cohort.slides],
        "folds": None if cohort.folds is None else [_written(fold) for fold in cohort.folds],
        "excluded": [asdict(item) for item in cohort.excluded],
    }
    write_text_whole(folder / COHORT_FILE, json.dumps(record, indent=1) + "\n")
    return PatientStore(folder)


def _written(fold: PublishedFold) -> dict[str, Any]:
    """As it is kept; a fold without a fault as ever."""
    return {key: value for key, value in asdict(fold).items() if key != "faults" or value}
