"""Reference: a random survival forest on the genomic table."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from baselines.survival.parts.answer import FittedHere, curve_times, event_times, surv, with_curves
from baselines.survival.parts.features import fitted_standardiser
from protocols.contract import Card
from protocols.seeds import derive_seed
from protocols.survival.contract import EventArray, PatientInputs, SurvivalPrediction, SurvivalTraining, TimeArray

TREES = 100
SMALLEST_LEAF = 8
MOST_FEATURES = 1000
TIME_POINTS = 150
"""Distinct event times a tree tells apart, as randomForestSRC's default: every node holds a curve over all of them, so
that time and memory would grow with the square of the patients."""


class RandomSurvivalForest(FittedHere):
    card: ClassVar[Card] = Card(
        name="random_survival_forest",
        title="Reference: random survival forest on the genomic table",
        task="survival",
        licence="BSD-3-Clause (this repository)",
        summary=f"scikit-survival, {TREES} trees, leaves of {SMALLEST_LEAF} or more, √p features a split.",
        paper="Ishwaran et al., Annals of Applied Statistics 2008",
        needs=("genomic",),
        training_overlap="none: fitted on the training fold alone",
        notes=(
            f"Of a wider table the {MOST_FEATURES} features of largest training variance are used.",
            f"Of more than {TIME_POINTS} distinct event times, {TIME_POINTS} evenly spaced in rank are told apart.",
        ),
    )

    def fit(self, train: SurvivalTraining) -> None:
        from sksurv.ensemble import RandomSurvivalForest as Forest

        self._table = fitted_standardiser(train.genomic, MOST_FEATURES)
        self._times = curve_times(train.time, train.event)
        self._forest: Any = Forest(
            n_estimators=TREES,
            min_samples_leaf=SMALLEST_LEAF,
            max_features="sqrt",
            n_jobs=1,
            random_state=derive_seed(train.settings.seed, "random survival forest") % 2**32,
        )
        self._forest.fit(self._table.transform(train.genomic), surv(train.event, on_grid(train.time, train.event)))

    def predict(self, test: PatientInputs) -> SurvivalPrediction:
        x = self._table.transform(test.genomic)
        risk = np.asarray(self._forest.predict(x), dtype=np.float64)
        return with_curves(risk, self._times, self._forest.predict_survival_function(x))


def on_grid(time: TimeArray, event: EventArray) -> NDArray[np.float64]:
    """Follow-up on at most 150 event times: an event moves up to the next of them, a censored patient down.

    At risk at a time of the grid are then those who lived past the time before it and were not censored in between, as
    in a life table. With 150 distinct event times or fewer no event moves and the risk sets are what they were.
    """
    grid = event_times(time, event, TIME_POINTS)
    before = np.searchsorted(grid, time, side="right") - 1
    down = np.where(before >= 0, grid[before], grid[0] / 2)
    return np.asarray(np.where(event, grid[np.searchsorted(grid, np.minimum(time, grid[-1]))], down))
