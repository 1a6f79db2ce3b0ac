"""The learning gate of cells: half of the genes follow the redness of the crop and one feature of the embedding."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from protocols.contract import Pretrains, Settings
from protocols.expression.toy import inputs_of, toy_training
from protocols.expression.views import TrainingView
from protocols.learning import USUAL, Learned, Plant, mean_r
from protocols.task import Fitted

CELLS, PIXELS = 1200, 64

SMOKE = Plant(units=8)
"""What a step or two at published sizes is tried on: crops."""


def learned(model_class: type[Any], settings: Settings, plant: Plant = USUAL) -> Learned:
    """Fit on made-up cells, ask about new ones."""
    units = plant.units or CELLS
    train = _cells(plant, units, seed=0, settings=settings)
    test = _cells(plant, max(units // 2, 4), seed=1, settings=settings, holes=False)
    model: Any = model_class()
    if isinstance(model, Pretrains):
        model.pretrain(train)
    model.fit(train)
    asked = inputs_of(test)
    planted = slice(0, len(test.genes) // 2)
    truth = test.targets[:, planted]
    return Learned(
        signal="half of the genes follow the redness of the crop, which one feature of the embedding is",
        measure="mean r of those genes, new cells",
        recovered=mean_r(model.predict(asked)[:, planted], truth),
        nothing=0.0,
        best=mean_r(asked.oracle()[:, planted], truth),
        schedule=Fitted.of(model, 0).schedule,
        loss_must_fall=isinstance(model, Pretrains),
    )


def _cells(plant: Plant, units: int, **told: Any) -> TrainingView:
    made = toy_training(units, pixels=plant.pixels or PIXELS, **told)
    read = made.embedding_reader
    return made if read is None else replace(made, embedding_reader=lambda rows: plant.widened(read(rows)))
