"""What a response model really holds. A :class:`PatientView` closes over nothing through which an outcome shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.contract import FloatArray, RowArray, Settings, TextArray
from protocols.errors import UserError
from protocols.not_given import no_truth
from protocols.response.contract import Probability
from protocols.response.store import ResponseStore

TRUTH_FILE = "patients.parquet"
TRUTH_COLUMN = "probability_"
"""Begins the columns of the phantom's true probabilities: ``probability_all``, and ``probability_<part>``."""
OracleReader = Callable[[str, TextArray], Probability]
"""(which, patients) -> true probabilities."""


@dataclass(frozen=True)
class PatientView:
    """Implements :class:`protocols.response.contract.ResponseInputs`."""

    patient: TextArray
    settings: Settings
    clinical_features: tuple[str, ...]
    clinical: FloatArray
    protein_features: tuple[str, ...]
    proteins: FloatArray
    oracle_reader: OracleReader | None = None

    def __len__(self) -> int:
        return len(self.patient)

    def oracle(self, which: str) -> Probability:
        if self.oracle_reader is None:
            raise no_truth()
        return self.oracle_reader(which, self.patient)


@dataclass(frozen=True)
class TrainingView(PatientView):
    """Implements :class:`protocols.response.contract.ResponseTraining`."""

    response: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=bool))
    workspace: Path | None = None


def inputs(store: ResponseStore, rows: RowArray, settings: Settings, truth: Path | None = None) -> PatientView:
    """What a model is asked about: everything but the outcome."""
    return PatientView(
        patient=np.array(store.patients)[rows],
        settings=settings,
        clinical_features=store.clinical_features,
        clinical=store.clinical[rows],
        protein_features=store.protein_features,
        proteins=store.proteins[rows],
        oracle_reader=oracle_reader(truth) if truth else None,
    )


def training(store: ResponseStore, rows: RowArray, settings: Settings, workspace: Path | None = None) -> TrainingView:
    """The same with the outcome, and a folder for checkpoints."""
    given = {name: value for name, value in vars(inputs(store, rows, settings)).items() if name != "oracle_reader"}
    return TrainingView(**given, response=store.response[rows], workspace=workspace)


def oracle_reader(truth: Path) -> OracleReader:
    """Reads the phantom's true probabilities by patient."""

    def read(which: str, patient: TextArray) -> Probability:
        table = pd.read_parquet(truth / TRUTH_FILE).set_index("patient")
        if f"{TRUTH_COLUMN}{which}" not in table.columns:
            known = ", ".join(name for name in table.columns if str(name).startswith(TRUTH_COLUMN))
            raise UserError(
                f"no column {TRUTH_COLUMN}{which}",
                where=truth / TRUTH_FILE,
                expected=known,
                remedy="make the data anew",
            )
        return table[f"{TRUTH_COLUMN}{which}"].reindex(patient.tolist()).to_numpy(np.float64)

    return read
