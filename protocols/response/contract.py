"""What a response model is given and what it must answer. One row is one patient.

A model is one class with ``card`` (``task="response"``), ``fit`` and ``predict``, made with no arguments once per fold.
It is fitted on a :class:`ResponseTraining` and asked about :class:`ResponseInputs`, which hold no outcome at all.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from protocols.contract import Card, FloatArray, RowArray, Settings, TextArray

Probability = NDArray[np.float64]
"""A model's answer: of each patient the probability of a response, float64 ``(n,)`` in [0, 1]."""
NICHE = "niche_"
"""Begins the name of a protein column that is an association of two markers in space; the others are of one marker."""
BIOMARKERS = {"pdl1": re.compile(r"(cps|tps)?pdl1"), "tmb": re.compile(r"tmb|tumou?rmutational(burden|load)")}
"""How the clinical columns of a biomarker begin, in small letters without marks: ``PD-L1 (TPS)`` is ``pdl1tps``."""


class ResponseInputs(Protocol):
    """Patients a model may look at, without their outcome. All arrays are in one row order."""

    @property
    def patient(self) -> TextArray: ...

    @property
    def settings(self) -> Settings: ...

    @property
    def clinical_features(self) -> tuple[str, ...]: ...

    @property
    def clinical(self) -> FloatArray:
        """float32 ``(n, clinical_features)``, as recorded, NaN where missing: age in years, PD-L1, TMB …"""
        ...

    @property
    def protein_features(self) -> tuple[str, ...]:
        """Sorted names, as ``mean_CD8`` and ``niche_CD8_CD4``."""
        ...

    @property
    def proteins(self) -> FloatArray:
        """float32 ``(n, protein_features)``, as recorded, NaN where missing."""
        ...

    def __len__(self) -> int: ...

    def oracle(self, which: str) -> Probability:
        """The phantom's true probability of a response; ``which``: ``"all"``, or a part of what makes it."""
        ...


class ResponseTraining(ResponseInputs, Protocol):
    """Patients together with their outcome."""

    @property
    def response(self) -> NDArray[np.bool_]:
        """True where the patient responded, bool ``(n,)``; both outcomes occur."""
        ...

    @property
    def workspace(self) -> Path | None:
        """A folder that survives a kill, for checkpoints of this training alone; None where there is no such place."""
        ...


@runtime_checkable
class ResponseModel(Protocol):
    card: ClassVar[Card]

    def fit(self, train: ResponseTraining) -> None: ...

    def predict(self, test: ResponseInputs) -> Probability: ...


def biomarker_columns(features: tuple[str, ...], which: str) -> RowArray:
    """Places of the clinical columns that hold the biomarker ``which`` (a key of :data:`BIOMARKERS`)."""
    plain = [re.sub(r"[^a-z0-9]", "", name.lower()) for name in features]
    return np.array([i for i, name in enumerate(plain) if BIOMARKERS[which].match(name)], dtype=np.int64)


def niche_columns(features: tuple[str, ...]) -> RowArray:
    """Places of the protein columns that are niches."""
    return np.array([i for i, name in enumerate(features) if name.lower().startswith(NICHE)], dtype=np.int64)
