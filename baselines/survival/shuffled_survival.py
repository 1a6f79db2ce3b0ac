"""Control: the elastic net with the follow-up of the training patients shuffled among them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

from baselines.survival.cox_elastic_net import CoxElasticNet
from protocols.contract import Card
from protocols.seeds import generator
from protocols.survival.contract import SurvivalTraining


class ShuffledSurvival(CoxElasticNet):
    """Everything a real model has but a link between features and outcome: C must be 0.5 within its interval."""

    card: ClassVar[Card] = Card(
        name="shuffled_survival",
        title="Control: Cox elastic net on shuffled follow-up",
        kind="control",
        task="survival",
        licence="BSD-3-Clause (this repository)",
        training_overlap="none: fitted on the training fold alone",
        summary="Times and events of the training patients permuted together, then as cox_elastic_net.",
        needs=("genomic",),
    )

    def fit(self, train: SurvivalTraining) -> None:
        order = generator(train.settings.seed, "shuffled survival", len(train)).permutation(len(train))
        view: Any = train  # a frozen dataclass: the same patients, with the outcome of others
        super().fit(replace(view, time=train.time[order], event=train.event[order]))
