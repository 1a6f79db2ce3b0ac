"""Reference: Cox elastic net on clinical variables, proteins and, where there are any, genes."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from baselines.survival.cox_elastic_net import CoxElasticNet
from baselines.survival.parts.cox_proteins import cox_card
from baselines.survival.parts.features import with_missing_flags
from protocols.contract import Card, FloatArray
from protocols.survival.contract import PatientInputs, SurvivalTraining


class CoxAll(CoxElasticNet):
    card: ClassVar[Card] = cox_card("cox_all", "clinical variables, proteins and genes", ("clinical", "proteins"))

    def fit(self, train: SurvivalTraining) -> None:
        self._clinical = train.clinical
        super().fit(train)

    def features(self, data: PatientInputs) -> FloatArray:
        clinical = with_missing_flags(data.clinical, self._clinical)
        return np.concatenate([clinical, data.proteins, data.genomic], axis=1)
