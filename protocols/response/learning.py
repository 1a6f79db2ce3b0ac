"""The learning gate of treated patients: two biomarkers, one protein and one niche raise the odds of a response."""

from __future__ import annotations

from typing import Any

import numpy as np

from protocols.contract import Card, Settings
from protocols.learning import USUAL, Learned, Plant
from protocols.metrics.binary import auc
from protocols.response.toy import inputs_of, toy_response
from protocols.task import Fitted

PATIENTS = 240
ASKED = 2000
"""New patients: of a few hundred the AUC of a weak signal is mostly chance."""
LEAST = 0.5
"""Half of the way, as of the other patients."""

SMOKE = Plant(units=40)
"""What a step or two at published sizes is tried on."""


def learned(model_class: type[Any], settings: Settings, plant: Plant = USUAL) -> Learned:
    """Fit on made-up patients, ask about new ones."""
    model: Any = model_class()
    model.fit(toy_response(plant.units or PATIENTS, seed=0, settings=settings))
    test = toy_response(ASKED, seed=1, settings=settings)
    which = _readable(model_class.card)
    return Learned(
        signal=f"response follows what is read of {which}",
        measure="AUC, new patients",
        recovered=auc(test.response, np.asarray(model.predict(inputs_of(test)))) or 0.0,
        nothing=0.5,
        best=auc(test.response, test.oracle(which)) or 0.0,
        schedule=Fitted.of(model, 0).schedule,
        least=LEAST,
    )


def _readable(card: Card) -> str:
    """What of the odds a model can read, by what its card needs."""
    needs = set(card.needs)
    if {"clinical", "proteins"} <= needs:
        return "all"
    if "niches" in needs:
        return "proteins"
    if "proteins" in needs:
        return "means"
    return next((one for one in ("pdl1", "tmb", "clinical") if one in needs), "all")
