"""Reference: Cox regression with an elastic-net penalty on the genomic table."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from baselines.survival.parts.answer import FittedHere, curve_times, surv, with_curves
from baselines.survival.parts.features import fitted_standardiser
from protocols.contract import Card, FloatArray
from protocols.seeds import generator
from protocols.survival.contract import EventArray, PatientInputs, SurvivalPrediction, SurvivalTraining, TimeArray

L1_RATIO = 0.5
PENALTIES = 25
SMALLEST_PENALTY = 0.05
"""Of the path, relative to the penalty at which every coefficient is zero."""
INNER_FOLDS = 4
MOST_FEATURES = 2000


class CoxElasticNet(FittedHere):
    """Half L1, half L2; the penalty with the best cross-validated partial likelihood on training patients.

    The criterion is the one of Verweij and van Houwelingen (Statistics in Medicine 1993), as in glmnet: the fit's
    log-likelihood on all training patients less that on its own, summed over inner folds.
    """

    card: ClassVar[Card] = Card(
        name="cox_elastic_net",
        title="Reference: Cox elastic net on the genomic table",
        task="survival",
        licence="BSD-3-Clause (this repository)",
        summary=f"scikit-survival's Coxnet, l1_ratio {L1_RATIO}, penalty by {INNER_FOLDS}-fold CV inside training.",
        paper="Simon et al., Journal of Statistical Software 2011",
        needs=("genomic",),
        training_overlap="none: fitted on the training fold alone",
        notes=(f"Of a wider table the {MOST_FEATURES} features of largest training variance are used.",),
    )

    def features(self, data: PatientInputs) -> FloatArray:
        """The table that is fitted, ``(n, features)``, NaN where missing."""
        return data.genomic

    def fit(self, train: SurvivalTraining) -> None:
        features = self.features(train)
        self._table = fitted_standardiser(features, MOST_FEATURES)
        self._times = curve_times(train.time, train.event)
        x = self._table.transform(features)
        path = _fitted(x, train.time, train.event, None).alphas_
        seed = generator(train.settings.seed, "coxnet folds", len(train))
        chosen = choose_penalty(x, train.time, train.event, path, seed)
        self._cox = _fitted(x, train.time, train.event, path[: chosen + 1], baseline=True)
        self._alpha = float(path[chosen])

    def predict(self, test: PatientInputs) -> SurvivalPrediction:
        x = self._table.transform(self.features(test))
        risk = np.asarray(self._cox.predict(x, alpha=self._alpha), dtype=np.float64)
        return with_curves(risk, self._times, self._cox.predict_survival_function(x, alpha=self._alpha))


def _fitted(
    x: NDArray[np.float64],
    time: TimeArray,
    event: EventArray,
    alphas: NDArray[np.float64] | None,
    baseline: bool = False,
) -> Any:
    from sksurv.linear_model import CoxnetSurvivalAnalysis

    cox = CoxnetSurvivalAnalysis(
        l1_ratio=L1_RATIO,
        alphas=alphas,
        n_alphas=PENALTIES,
        alpha_min_ratio=SMALLEST_PENALTY,
        fit_baseline_model=baseline,
    )
    with warnings.catch_warnings():
        # The empty model is an answer like any other: on features without a signal it is the right one.
        warnings.filterwarnings("ignore", message="all coefficients are zero")
        return cox.fit(x, surv(event, time))


def choose_penalty(
    x: NDArray[np.float64],
    time: TimeArray,
    event: EventArray,
    path: NDArray[np.float64],
    rng: np.random.Generator,
) -> int:
    """Place in ``path`` (descending) of the penalty with the greatest cross-validated partial log-likelihood."""
    fold = np.empty(len(time), dtype=np.int64)
    for kind in (True, False):
        members = rng.permutation(np.flatnonzero(event == kind))
        fold[members] = np.arange(len(members)) % INNER_FOLDS
    total = np.zeros(len(path))
    for number in range(INNER_FOLDS):
        inside = fold != number
        if not event[inside].any():
            continue
        cox = _fitted(x[inside], time[inside], event[inside], path)
        reached = cox.coef_.shape[1]  # the path ends early where the likelihood is nearly saturated
        scores = x @ cox.coef_
        gain = partial_log_likelihood(scores, time, event) - partial_log_likelihood(
            scores[inside], time[inside], event[inside]
        )
        total[:reached] += gain
        total[reached:] = -np.inf
    return int(np.argmax(total))


def partial_log_likelihood(scores: NDArray[np.float64], time: TimeArray, event: EventArray) -> NDArray[np.float64]:
    """Breslow's log partial likelihood of linear scores ``(n, k)``, one value a column."""
    order = np.argsort(-time, kind="stable")
    ordered, seen = scores[order], event[order]
    risk_set = np.logaddexp.accumulate(ordered, axis=0)
    # Patients with the same time are at risk together: all take the sum that includes the last of them.
    last = np.searchsorted(-time[order], -time[order], side="right") - 1
    return np.asarray((ordered[seen] - risk_set[last[seen]]).sum(axis=0))
