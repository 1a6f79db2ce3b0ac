"""Reference: Cox elastic net on the whole protein table, who lies beside whom included."""

from __future__ import annotations

from typing import ClassVar

from baselines.survival.cox_elastic_net import CoxElasticNet
from baselines.survival.parts.cox_proteins import cox_card
from protocols.contract import Card, FloatArray
from protocols.survival.contract import PatientInputs


class CoxNiche(CoxElasticNet):
    card: ClassVar[Card] = cox_card("cox_niche", "protein means and niches", ("proteins",))

    def features(self, data: PatientInputs) -> FloatArray:
        return data.proteins
