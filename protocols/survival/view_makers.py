"""Turns a stored cohort of patients into what models are handed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.contract import RowArray, Settings, TextArray
from protocols.errors import look_up
from protocols.survival.bags import Bags, ProteinTokens
from protocols.survival.store import PatientStore
from protocols.survival.views import OracleReader, PatientView, SurvivalTrainingView

TRUTH_FILE = "patients.parquet"
ORACLES = {which: f"log_hazard_{which}" for which in ("all", "image", "genome", "means", "space")}


class PatientViews:
    """Makes the views of one cohort for one model. Test views are built without touching an outcome."""

    def __init__(
        self,
        store: PatientStore,
        settings: Settings,
        bags: Bags | None,
        truth: Path | None,
        tokens: ProteinTokens | None = None,
    ) -> None:
        self._store, self._settings, self._bags = store, settings, bags
        self._patient = np.array(store.patients)
        self._tokens = tokens
        self._oracle = oracle_reader(truth) if truth else None

    def inputs(self, rows: RowArray) -> PatientView:
        """What a model is asked about: everything but the follow-up."""
        return PatientView(
            patient=self._patient[rows],
            settings=self._settings,
            clinical_features=self._store.clinical_features,
            clinical=self._store.clinical[rows],
            genomic_features=self._store.genomic_features,
            genomic=self._store.genomic[rows],
            signatures=self._store.signatures,
            bag_reader=self._bags,
            bag_dim=self._bags.dim if self._bags else 0,
            oracle_reader=self._oracle,
            protein_features=self._store.protein_features,
            proteins=self._store.proteins[rows],
            token_reader=self._tokens,
        )

    def training(self, rows: RowArray, workspace: Path | None = None) -> SurvivalTrainingView:
        """The same with time and event, and a folder for checkpoints."""
        given = {name: value for name, value in vars(self.inputs(rows)).items() if name != "oracle_reader"}
        return SurvivalTrainingView(
            **given, time=self._store.time[rows], event=self._store.event[rows], workspace=workspace
        )


def oracle_reader(truth: Path) -> OracleReader:
    """Reads the phantom's true log-hazards by patient."""

    def read(which: str, patient: TextArray) -> NDArray[np.float64]:
        column = look_up(which, ORACLES, kind="oracle", where="the phantom's truth")
        table = pd.read_parquet(truth / TRUTH_FILE, columns=["patient", column]).set_index("patient")
        return table[column].reindex(patient.tolist()).to_numpy(np.float64)

    return read
