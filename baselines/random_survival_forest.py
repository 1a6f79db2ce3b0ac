"""Reference: a random survival forest on the genomic and clinical tables."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from baselines.shared.survival_answer import FittedHere, curve_times, surv, with_curves
from baselines.shared.survival_features import Standardiser
from protocols.contract import Card
from protocols.seeds import derive_seed
from protocols.survival_contract import PatientInputs, SurvivalPrediction, SurvivalTraining

TREES = 100
SMALLEST_LEAF = 8
MOST_FEATURES = 1000


class RandomSurvivalForest(FittedHere):
    card: ClassVar[Card] = Card(
        name="random_survival_forest",
        title="Reference: random survival forest on the genomic table",
        task="survival",
        summary=f"scikit-survival, {TREES} trees, leaves of {SMALLEST_LEAF} or more, √p features a split.",
        paper="Ishwaran et al., Annals of Applied Statistics 2008",
        needs=("genomic",),
        training_overlap="none: fitted on the training fold alone",
        notes=(f"Of a wider table the {MOST_FEATURES} features of largest training variance are used.",),
    )

    def fit(self, train: SurvivalTraining) -> None:
        from sksurv.ensemble import RandomSurvivalForest as Forest

        self._table = Standardiser(MOST_FEATURES).fit(train.genomic)
        self._times = curve_times(train.time, train.event)
        self._forest: Any = Forest(
            n_estimators=TREES,
            min_samples_leaf=SMALLEST_LEAF,
            max_features="sqrt",
            n_jobs=1,
            random_state=derive_seed(train.settings.seed, "random survival forest") % 2**32,
        )
        self._forest.fit(self._table.transform(train.genomic), surv(train.event, train.time))

    def predict(self, test: PatientInputs) -> SurvivalPrediction:
        x = self._table.transform(test.genomic)
        risk = np.asarray(self._forest.predict(x), dtype=np.float64)
        return with_curves(risk, self._times, self._forest.predict_survival_function(x))
