"""A cohort of treated patients as the pipeline keeps it: three tables and a description."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.contract import FloatArray
from protocols.files import write_text_whole, written_whole
from protocols.response.cohort import ResponseCohort
from protocols.splits import Exclusion
from protocols.stored_cohort import COHORT_FILE, read_cohort_file
from protocols.task import CohortRequest

TABLES = ("outcome", "clinical", "proteins")


class ResponseStore:
    """Read access to a stored cohort; row numbers are places in ``patients``, which is sorted."""

    def __init__(self, folder: Path) -> None:
        told = read_cohort_file(folder)
        self.folder = folder
        self.name: str = told["name"]
        self.phantom: bool = told["phantom"]
        self.endpoint: str = told["endpoint"]
        self.patients: tuple[str, ...] = tuple(told["patients"])
        self.excluded = tuple(Exclusion(**item) for item in told["excluded"])

    def __len__(self) -> int:
        return len(self.patients)

    @cached_property
    def response(self) -> NDArray[np.bool_]:
        return self._table("outcome")["response"].to_numpy(bool)

    @cached_property
    def clinical_features(self) -> tuple[str, ...]:
        return tuple(self._table("clinical").columns)

    @cached_property
    def clinical(self) -> FloatArray:
        return self._table("clinical").to_numpy(np.float32)

    @cached_property
    def protein_features(self) -> tuple[str, ...]:
        return tuple(self._table("proteins").columns)

    @cached_property
    def proteins(self) -> FloatArray:
        return self._table("proteins").to_numpy(np.float32)

    def _table(self, name: str) -> pd.DataFrame:
        # A Parquet file without columns forgets how many rows it had.
        return pd.read_parquet(self.folder / f"{name}.parquet").reindex(range(len(self.patients)))


def open_store(_request: CohortRequest, folder: Path) -> ResponseStore:
    """The cohort in ``folder``, whose seal the engine has verified."""
    return ResponseStore(folder)


def write_response_store(folder: Path, cohort: ResponseCohort, *, phantom: bool) -> ResponseStore:
    """Store a checked cohort; ``cohort.json`` comes last, so a folder that has it is whole."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in TABLES:
        table: pd.DataFrame = getattr(cohort, name)
        with written_whole(folder / f"{name}.parquet") as part:
            table.reset_index(drop=True).to_parquet(part, compression="zstd", index=False)
    told = {
        "name": cohort.name,
        "phantom": phantom,
        "endpoint": cohort.endpoint,
        "patients": list(cohort.outcome.index),
        "excluded": [asdict(item) for item in cohort.excluded],
    }
    write_text_whole(folder / COHORT_FILE, json.dumps(told, indent=1) + "\n")
    return ResponseStore(folder)
