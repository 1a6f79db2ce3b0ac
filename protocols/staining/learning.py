"""The learning gate of patches: the IHC is a fixed function of the H&E, pixel by pixel."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from protocols.contract import Settings
from protocols.learning import Learned
from protocols.staining.toy import inputs_of, mean_image, toy_patches
from protocols.task import Fitted

PATIENTS = 8
NEW = 8
"""Patches that are asked about."""


def learned(model_class: type[Any], settings: Settings, units: int = PATIENTS) -> Learned:
    """Fit on patches of ``units`` made-up patients, draw those of new ones."""
    train = toy_patches(units, seed=0, settings=settings)
    test = toy_patches(max(min(NEW, units) // 2, 1), 2, seed=1, settings=settings)
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
