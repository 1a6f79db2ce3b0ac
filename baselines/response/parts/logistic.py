"""Logistic regression on some columns of a cohort's tables: all that the tables' baselines have in common."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from protocols.contract import Card, WeightsRecord
from protocols.response.contract import Probability, ResponseInputs, ResponseTraining
from protocols.seeds import derive_seed

STRENGTHS = (0.001, 0.01, 0.1, 1.0, 10.0)
"""scikit-learn's ``C``, the inverse of the ridge penalty; of equals the strongest penalty is taken."""
INNER_FOLDS = 5
OVERLAP = "none: fitted on the training fold alone"
LICENCE = "BSD-3-Clause (this repository)"
HOW = (
    "Standardised; holes at the training median, with a flag a column; ridge penalty by log loss in five folds of the "
    "training patients."
)
Matrix = NDArray[np.float64]


class Logistic:
    """Subclasses say which columns they read: :meth:`columns` gives ``(n, k)`` with NaN for holes."""

    card: ClassVar[Card]

    def columns(self, data: ResponseInputs) -> NDArray[Any]:
        raise NotImplementedError

    def fit(self, train: ResponseTraining) -> None:
        from sklearn.linear_model import LogisticRegression

        table = self.columns(train).astype(np.float64)
        known = np.isfinite(table)
        self._kept = np.flatnonzero(known.any(axis=0))  # a column of holes alone tells nothing
        self._flagged = self._kept[~known[:, self._kept].all(axis=0)]
        self._median = np.nanmedian(table[:, self._kept], axis=0) if len(self._kept) else np.zeros(0)
        features = self._filled(table)
        self._middle, spread = features.mean(axis=0), features.std(axis=0)
        self._spread = np.where(spread > 1e-12, spread, 1.0)
        x, y = (features - self._middle) / self._spread, train.response
        self._share = float(y.mean())
        self._model: Any = None
        if x.shape[1] and 0 < y.sum() < len(y):
            strength = _strength(x, y, derive_seed(train.settings.seed, "response penalty") % 2**32)
            self._model = LogisticRegression(C=strength, max_iter=1000).fit(x, y)

    def predict(self, test: ResponseInputs) -> Probability:
        if self._model is None:  # nothing varies, or nobody is of the other outcome
            return np.full(len(test), self._share)
        x = (self._filled(self.columns(test).astype(np.float64)) - self._middle) / self._spread
        logit = np.sum(x * self._model.coef_[0], axis=1) + self._model.intercept_[0]
        return np.asarray(1 / (1 + np.exp(-logit)))

    def weights(self) -> tuple[WeightsRecord, ...]:
        return (WeightsRecord(part="whole model", source="none"),)

    def _filled(self, table: Matrix) -> Matrix:
        values = table[:, self._kept]
        flags = ~np.isfinite(table[:, self._flagged])
        return np.hstack([np.where(np.isfinite(values), values, self._median), flags])


def _strength(x: Matrix, y: NDArray[np.bool_], seed: int) -> float:
    """The penalty of least log loss on held-out training patients; the strongest where too few are of one outcome."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold

    folds = min(INNER_FOLDS, int(y.sum()), int((~y).sum()))
    if folds < 2:
        return STRENGTHS[0]
    parts = list(StratifiedKFold(folds, shuffle=True, random_state=seed).split(x, y))
    losses = []
    for strength in STRENGTHS:
        loss = 0.0
        for train, held in parts:
            told = LogisticRegression(C=strength, max_iter=1000).fit(x[train], y[train]).predict_log_proba(x[held])
            loss -= float(told[np.arange(len(held)), y[held].astype(np.int64)].sum())
        losses.append(loss)
    return STRENGTHS[int(np.argmin(losses))]
