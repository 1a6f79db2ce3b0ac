"""What a survival model really holds. A :class:`PatientView` closes over nothing through which an outcome shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from protocols.contract import FloatArray, Settings, TextArray
from protocols.errors import UserError
from protocols.not_given import no_truth
from protocols.survival.contract import EventArray, TimeArray

BagReader = Callable[[str], FloatArray]
"""Patient -> tile embeddings of all their slides, float32 ``(tiles, d)``."""
OracleReader = Callable[[str, TextArray], NDArray[np.float64]]
"""(which, patients) -> true log-hazards."""


def _no_table() -> FloatArray:
    return np.zeros((0, 0), dtype=np.float32)


@dataclass(frozen=True)
class PatientView:
    """Implements :class:`protocols.survival.contract.PatientInputs`."""

    patient: TextArray
    settings: Settings
    clinical_features: tuple[str, ...]
    clinical: FloatArray
    genomic_features: tuple[str, ...]
    genomic: FloatArray
    signatures: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    bag_reader: BagReader | None = None
    bag_dim: int = 0
    oracle_reader: OracleReader | None = None
    protein_features: tuple[str, ...] = ()
    proteins: FloatArray = field(default_factory=_no_table)
    token_reader: BagReader | None = None

    def __len__(self) -> int:
        return len(self.patient)

    def bag(self, position: int) -> FloatArray:
        if self.bag_reader is None:
            raise UserError(
                "bag() was called without an encoder",
                where="the model",
                expected="a card that names its encoder and needs slides",
                remedy='set encoder="…" and needs=("slides",) in the card',
            )
        return self.bag_reader(str(self.patient[position]))

    @property
    def bag_width(self) -> int:
        return self.bag_dim

    def protein_tokens(self, position: int) -> FloatArray:
        if self.token_reader is None:
            raise UserError(
                "protein_tokens() was called by a model that does not say so",
                where="the model",
                expected='a card whose needs have "protein_tokens"',
                remedy='set needs=("protein_tokens", …) in the card',
            )
        return self.token_reader(str(self.patient[position]))

    def oracle(self, which: str) -> NDArray[np.float64]:
        if self.oracle_reader is None:
            raise no_truth()
        return self.oracle_reader(which, self.patient)


@dataclass(frozen=True)
class SurvivalTrainingView(PatientView):
    """Implements :class:`protocols.survival.contract.SurvivalTraining`."""

    time: TimeArray = field(default_factory=lambda: np.zeros(0))
    event: EventArray = field(default_factory=lambda: np.zeros(0, dtype=bool))
    workspace: Path | None = None
