"""The learning gate of patients: a shift of the tiles and one gene raise the hazard, and stage does a little."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from protocols.contract import Card, FloatArray, Settings
from protocols.learning import USUAL, Learned, Plant
from protocols.metrics.concordance import harrell
from protocols.survival.toy import inputs_of, toy_survival
from protocols.survival.views import SurvivalTrainingView
from protocols.task import Fitted

PATIENTS = 240
NOTHING = 0.5
LEAST = 0.5
"""Half of the way: so few patients, whose follow-up is mostly chance, do not show a large network the rest."""
FEWEST = 24

SMOKE = Plant(units=40)
"""What a step or two at published sizes is tried on: patients, events among them."""


def learned(model_class: type[Any], settings: Settings, plant: Plant = USUAL) -> Learned:
    """Fit on made-up patients, ask about as many new ones."""
    units = plant.units or PATIENTS
    train = _widened(plant, toy_survival(units, seed=0, settings=settings))
    test = _widened(plant, toy_survival(max(units, FEWEST), seed=1, settings=settings))
    model: Any = model_class()
    model.fit(train)
    asked = inputs_of(test)
    reads, best = _readable(model_class.card, asked)
    return Learned(
        signal=f"the hazard follows {reads}",
        measure="Harrell's C, new patients",
        recovered=_c(test, model.predict(asked).risk),
        nothing=NOTHING,
        best=_c(test, best),
        schedule=Fitted.of(model, 0).schedule,
        least=LEAST,
    )


def _readable(card: Card, asked: Any) -> tuple[str, FloatArray]:
    """What of the hazard a model can read, by what its card needs, in words and by patient."""
    parts = {
        "slides": ("a shift of the tiles", "image"),
        "proteins": ("two columns of proteins", "image"),
        "protein_tokens": ("a shift of two protein tokens", "image"),
        "genomic": ("one gene", "genome"),
    }
    read = [parts[need] for need in card.needs if need in parts]
    if not read:
        return "stage, a little", np.asarray(asked.oracle("all") - asked.oracle("image") - asked.oracle("genome"))
    known = sorted({which for _, which in read})
    return " and ".join(words for words, _ in read), np.asarray(sum(asked.oracle(which) for which in known))


def _c(test: Any, risk: Any) -> float:
    value = harrell(test.time.astype(np.float64), test.event, np.asarray(risk, dtype=np.float64)).value
    return math.nan if value is None else value


def _widened(plant: Plant, view: SurvivalTrainingView) -> SurvivalTrainingView:
    """The patients with bags as wide as an encoder's."""
    read = view.bag_reader
    if not plant.width or read is None:
        return view
    return replace(view, bag_dim=plant.width, bag_reader=lambda patient: plant.widened(read(patient)))
