"""The file that a newcomer starts from."""

from __future__ import annotations

TEMPLATE = '''"""{title}: say here in one line what is new about it."""

import numpy as np
from sksurv.linear_model import CoxPHSurvivalAnalysis
from sksurv.util import Surv

from protocols.contract import Card
from protocols.survival.contract import SurvivalPrediction


class {class_name}:
    card = Card(
        name="{name}",
        title="{title}",
        task="survival",
        encoder="uni",  # tiles of every slide, embedded once for everybody; drop it and "slides" if you read no image
        needs=("slides", "clinical"),
        training_overlap="unknown",
    )

    def fit(self, train):
        """Learn. train.bag(i) is (tiles, d) of patient i; train.genomic, train.clinical (n, …), NaN where missing."""
        x = self._features(train)
        self.middle, self.spread = x.mean(axis=0), x.std(axis=0) + 1e-6
        self.cox = CoxPHSurvivalAnalysis(alpha=100.0)
        self.cox.fit((x - self.middle) / self.spread, Surv.from_arrays(train.event, train.time))

    def predict(self, test):
        """Risks (n,), higher = earlier event; curves are optional. `test` has no follow-up."""
        return SurvivalPrediction(self.cox.predict((self._features(test) - self.middle) / self.spread))

    def _features(self, data):
        bags = np.array([data.bag(i).mean(axis=0) for i in range(len(data))], dtype=float)
        return np.nan_to_num(np.column_stack([bags, data.clinical]))
'''


def template() -> str:
    return TEMPLATE
