"""What a survival model is given and what it must answer. One row is one patient, however many slides they have.

A model is one class with ``card`` (``task="survival"``), ``fit`` and ``predict``, made with no arguments once per fold.
It is fitted on a :class:`SurvivalTraining` and asked about :class:`PatientInputs`, which hold no outcome at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from protocols.contract import Card, FloatArray, Settings, TextArray

TimeArray = NDArray[np.float64]
EventArray = NDArray[np.bool_]

GENOMIC_KINDS = ("rnaseq", "cnv", "mut")
"""Suffixes of genomic features: ``TP53_rnaseq`` is TP53's expression, ``_cnv`` its copy number, ``_mut`` 0 or 1."""


@dataclass(frozen=True)
class SurvivalPrediction:
    """A model's answer for ``n`` patients.

    ``risk``: float64 ``(n,)``, higher = earlier event; finite. ``times`` (months, ascending, ``(k,)``) and
    ``survival`` (probability of living past each time, ``(n, k)``, in [0, 1], never rising) come together or not at
    all; without them Brier scores are not computed.
    """

    risk: NDArray[np.float64]
    times: NDArray[np.float64] | None = None
    survival: NDArray[np.float64] | None = None


class PatientInputs(Protocol):
    """Patients a model may look at, without their outcome. All arrays are in one row order."""

    @property
    def patient(self) -> TextArray: ...

    @property
    def settings(self) -> Settings: ...

    @property
    def clinical_features(self) -> tuple[str, ...]: ...

    @property
    def clinical(self) -> FloatArray:
        """float32 ``(n, clinical_features)``, as recorded, NaN where missing. Age in years; stage as a number."""
        ...

    @property
    def genomic_features(self) -> tuple[str, ...]:
        """Sorted ``GENE_kind`` names, see :data:`GENOMIC_KINDS`."""
        ...

    @property
    def genomic(self) -> FloatArray:
        """float32 ``(n, genomic_features)``, as recorded (not standardised), NaN where missing."""
        ...

    @property
    def protein_features(self) -> tuple[str, ...]:
        """Names of the protein table's columns, sorted."""
        ...

    @property
    def proteins(self) -> FloatArray:
        """float32 ``(n, protein_features)``, as recorded, NaN where missing."""
        ...

    @property
    def signatures(self) -> Mapping[str, tuple[str, ...]]:
        """Gene signatures by name, in the cohort's order: gene symbols, some of which may not be measured."""
        ...

    def __len__(self) -> int: ...

    def bag(self, position: int) -> FloatArray:
        """Tile embeddings by the card's encoder, of all slides of one patient: float32 ``(tiles, d)``, tiles ≥ 1."""
        ...

    @property
    def bag_width(self) -> int:
        """``d``, without reading a bag."""
        ...

    def protein_tokens(self, position: int) -> FloatArray:
        """One token a protein of one patient: float32 ``(40, 384)`` in HEX's layout, the same shape for everybody."""
        ...

    def oracle(self, which: str) -> NDArray[np.float64]:
        """The phantom's true log-hazard ``(n,)``: ``"all"``, or what a part of it alone can know (``"image"``,
        ``"genome"``; of proteins ``"means"`` and ``"space"``)."""
        ...


class SurvivalTraining(PatientInputs, Protocol):
    """Patients together with their follow-up."""

    @property
    def time(self) -> TimeArray:
        """Months to the event or to the end of follow-up, float64 ``(n,)``, > 0."""
        ...

    @property
    def event(self) -> EventArray:
        """True where the event was seen, False where the patient is censored."""
        ...

    @property
    def workspace(self) -> Path | None:
        """A folder that survives a kill, for checkpoints of this training alone; None where there is no such place."""
        ...


@runtime_checkable
class SurvivalModel(Protocol):
    card: ClassVar[Card]

    def fit(self, train: SurvivalTraining) -> None: ...

    def predict(self, test: PatientInputs) -> SurvivalPrediction: ...


def gene_of(feature: str) -> str:
    """``TP53`` of ``TP53_rnaseq``."""
    return feature.rpartition("_")[0]


def signature_columns(
    features: tuple[str, ...], signatures: Mapping[str, tuple[str, ...]]
) -> dict[str, NDArray[np.int64]]:
    """Columns of ``features`` that belong to each signature's genes, by name, sorted (MCAT's selection by name)."""
    found = {}
    for name, genes in signatures.items():
        wanted = set(genes)
        found[name] = np.array([i for i, feature in enumerate(features) if gene_of(feature) in wanted], dtype=np.int64)
    return found
