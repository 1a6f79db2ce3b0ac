"""Hands a protocol's units to somebody who predicts elsewhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from protocols import task_of
from protocols.cohorts.store import CohortStore
from protocols.files import written_whole
from protocols.splitting import read_split
from protocols.survival.store import PatientStore
from suite.config import Config
from suite.places import COHORT, PATIENTS, SPLITS


def write_units(config: Config, protocol: str, out: Path) -> int:
    """Write who is trained on and who must be predicted as CSV; returns the number of rows.

    Columns: fold, role (train or test) and slide, cell_id, x_px, y_px; of a survival protocol cohort, fold, role,
    patient.
    """
    table = _patients(config, protocol) if task_of(protocol) == "survival" else _cells(protocol)
    with written_whole(out) as part:
        table.to_csv(part, index=False)
    return len(table)


def _cells(protocol: str) -> pd.DataFrame:
    store = CohortStore(COHORT)
    split, _ = read_split(SPLITS / protocol)
    parts = [
        store.units.iloc[rows].assign(fold=fold.name, role=role)
        for fold in split.folds
        for role, rows in (("train", fold.train), ("test", fold.test))
    ]
    return pd.concat(parts)[["fold", "role", "slide", "cell_id", "x_px", "y_px"]]


def _patients(config: Config, protocol: str) -> pd.DataFrame:
    parts = []
    for name in config.survival.cohorts:
        patients = np.array(PatientStore(PATIENTS / name).patients)
        split, _ = read_split(SPLITS / protocol / name)
        parts += [
            pd.DataFrame({"cohort": name, "fold": fold.name, "role": role, "patient": patients[rows]})
            for fold in split.folds
            for role, rows in (("train", fold.train), ("test", fold.test))
        ]
    return pd.concat(parts)
