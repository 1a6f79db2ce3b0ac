"""Reference: Cox elastic net on what proteins there are, without their places."""

from __future__ import annotations

from typing import ClassVar

from baselines.survival.cox_elastic_net import CoxElasticNet
from baselines.survival.parts.cox_proteins import cox_card, means
from protocols.contract import Card, FloatArray
from protocols.survival.contract import PatientInputs


class CoxProtein(CoxElasticNet):
    card: ClassVar[Card] = cox_card("cox_protein", "protein means", ("proteins",))

    def features(self, data: PatientInputs) -> FloatArray:
        return means(data)
