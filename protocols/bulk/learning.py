"""The learning gate of slides: three hidden numbers of a patient move the tiles' features and the genes, linearly."""

from __future__ import annotations

from typing import Any

import numpy as np

from protocols.bulk.contract import PretrainsOnNormal
from protocols.bulk.toy import inputs_of, toy_normal, toy_slides
from protocols.contract import Settings
from protocols.learning import Learned, mean_r
from protocols.task import Fitted

PATIENTS = 120


def learned(model_class: type[Any], settings: Settings, units: int = PATIENTS) -> Learned:
    """Fit on ``units`` made-up patients (and before, where the card says so, on normal tissue), ask about new ones."""
    train = toy_slides(units, seed=0, settings=settings)
    test = toy_slides(max(units // 2, 4), seed=1, settings=settings)
    model: Any = model_class()
    before = ()
    if isinstance(model, PretrainsOnNormal):
        first: Any = model_class()
        model.start_from(first.pretrain(toy_normal(max(units // 3, 2), settings=settings)))
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
