"""The learning gate of patches: the IHC is a fixed function of the H&E, pixel by pixel."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from protocols.contract import Settings
from protocols.learning import USUAL, Learned, Plant
from protocols.staining.toy import inputs_of, mean_image, toy_patches
from protocols.staining.views import PatchTrainingView
from protocols.task import Fitted

PATIENTS = 8
NEW = 8
"""Patches that are asked about, at most."""
EACH = 3
PIXELS = 64

SMOKE = Plant(units=2, pixels=256)
"""What a step or two at published sizes is tried on: patients with three patches each."""


def learned(model_class: type[Any], settings: Settings, plant: Plant = USUAL) -> Learned:
    """Fit on patches of made-up patients, draw those of new ones."""
    units = plant.units or PATIENTS
    train = _patches(plant, units, EACH, seed=0, settings=settings)
    test = _patches(plant, max(min(NEW, units) // 2, 1), 1 if plant.units else 2, seed=1, settings=settings)
    model: Any = model_class()
    with TemporaryDirectory() as folder:
        model.fit(replace(train, workspace=Path(folder)))
    asked, rows = inputs_of(test), np.arange(len(test), dtype=np.int64)
    truth = test.ihc(rows).astype(np.float64)
    blank = np.broadcast_to(mean_image(train, np.arange(len(train))), truth.shape)
    error = float(np.square(model.predict(asked, rows).astype(np.float64) - truth).mean())
    return Learned(
        signal="the IHC is a function of the H&E, pixel by pixel",
        measure="share of the mean image's squared error that is explained, new patches",
        recovered=1.0 - error / float(np.square(blank - truth).mean()),
        nothing=0.0,
        best=1.0,
        schedule=Fitted.of(model, 0).schedule,
    )


def _patches(plant: Plant, patients: int, each: int, **told: Any) -> PatchTrainingView:
    made = toy_patches(patients, each, pixels=plant.pixels or PIXELS, **told)
    read = made.embedding_reader
    return made if read is None else replace(made, embedding_reader=lambda rows: plant.widened(read(rows)))
