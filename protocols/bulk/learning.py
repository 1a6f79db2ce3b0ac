"""The learning gate of slides: three hidden numbers of a patient move the tiles' features and the genes, linearly."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from protocols.bulk.contract import GroupedBy, PretrainsOnNormal, SuperTiles
from protocols.bulk.toy import inputs_of, toy_normal, toy_slides
from protocols.bulk.views import SlideTrainingView
from protocols.contract import RowArray, ScheduleRecord, Settings
from protocols.learning import USUAL, Learned, Plant, mean_r
from protocols.task import Fitted

PATIENTS = 120

SMOKE = Plant(units=12)
"""What a step or two at published sizes is tried on: slides."""


def learned(model_class: type[Any], settings: Settings, plant: Plant = USUAL) -> Learned:
    """Fit on made-up patients (and before, where the card says so, on normal tissue), ask about new ones."""
    units = plant.units or PATIENTS
    train = _widened(plant, toy_slides(units, seed=0, settings=settings))
    test = _widened(plant, toy_slides(max(units // 2, 4), seed=1, settings=settings))
    model: Any = model_class()
    before: tuple[ScheduleRecord, ...] = ()
    if isinstance(model, PretrainsOnNormal):
        first: Any = model_class()
        model.start_from(first.pretrain(_widened(plant, toy_normal(max(units // 3, 2), settings=settings))))
        before = Fitted.of(first, 0).schedule
    model.fit(train)
    asked = inputs_of(test)
    seen = np.array([not int(gene[-1]) % 2 for gene in test.genes])  # every second gene hardly follows the state
    truth = test.targets[:, seen]
    return Learned(
        signal="every second gene follows three hidden numbers, which the tiles' features follow too",
        measure="mean r of those genes, new patients",
        recovered=mean_r(model.predict(asked)[:, seen], truth),
        nothing=0.0,
        best=mean_r(asked.oracle()[:, seen], truth),
        schedule=(*before, *Fitted.of(model, 0).schedule),
    )


def _widened(plant: Plant, view: SlideTrainingView) -> SlideTrainingView:
    """The slides with features as wide as an encoder's."""
    read, mean = view.super_tile_reader, view.mean_reader
    if not plant.width or read is None or mean is None:
        return view

    def wide(rows: RowArray, grouped_by: GroupedBy) -> SuperTiles:
        found = read(rows, grouped_by)
        return SuperTiles(plant.widened(found.features), found.present)

    return replace(view, width=plant.width, super_tile_reader=wide, mean_reader=lambda rows: plant.widened(mean(rows)))
