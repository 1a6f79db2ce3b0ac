"""The LASSO path of Cox regression and the choice of its penalty by cross-validated partial likelihood, as glmnet does.

Simon, Friedman, Hastie and Tibshirani, Journal of Statistical Software 2011; the path is scikit-survival's.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from protocols.errors import UserError
from protocols.metrics.concordance import Bool, Float, Int, outcome
from protocols.metrics.cox import deviance
from protocols.seeds import generator

Rule = Literal["min", "one_standard_error"]
RULES = {
    "min": "smallest mean deviance",
    "one_standard_error": "largest penalty within one standard error of the smallest",
}
PENALTIES = 100
SMALLEST_PENALTY = {"tall": 1e-4, "wide": 1e-2}
"""Of the path, relative to its largest: glmnet's defaults for more patients than genes, and for fewer."""


@dataclass(frozen=True)
class PenaltyCurve:
    """Cross-validated partial-likelihood deviance per event along the path: ``(k,)`` each, largest penalty first.

    ``mean`` is infinite where a fold's path ended before that penalty (its likelihood was nearly saturated).
    """

    alpha: Float
    mean: Float
    standard_error: Float
    genes: Int
    chosen: int


def deal(event: Bool, folds: int, seed: int) -> Int:
    """A fold for each patient, ``(n,)``: events and censored ones are shuffled apart and dealt in turn."""
    rng = generator(seed, "signature folds", len(event))
    fold = np.empty(len(event), dtype=np.int64)
    dealt = 0
    for kind in (True, False):
        members = rng.permutation(np.flatnonzero(event == kind))
        fold[members] = (dealt + np.arange(len(members))) % folds
        dealt += len(members)  # the censored go on where the events ended: fold sizes differ by one at most
    return fold


def cross_validated(x: Float, time: Float, event: Bool, fold: Int, rule: str) -> tuple[Float, PenaltyCurve]:
    """Coefficients at the chosen penalty, ``(genes,)``, and the curve that chose it."""
    largest = largest_penalty(x, time, event)
    smallest = SMALLEST_PENALTY["tall" if len(x) > x.shape[1] else "wide"]
    alphas = np.geomspace(largest, largest * smallest, PENALTIES)
    coefficients = lasso_path(x, time, event, alphas)
    alphas = alphas[: coefficients.shape[1]]
    if not len(alphas):
        raise refused("the fit does not settle at any penalty", "expression on a log scale", "take log2(v + 1)")
    numbers = np.unique(fold)
    gaps, weights = np.full((len(numbers), len(alphas)), np.inf), np.empty(len(numbers))
    for place, number in enumerate(numbers):
        inside = fold != number
        scores = x @ lasso_path(x[inside], time[inside], event[inside], alphas)
        weights[place] = event[~inside].sum()
        gap = deviance(scores, time, event) - deviance(scores[inside], time[inside], event[inside])
        gaps[place, : scores.shape[1]] = gap / weights[place]
    reached = np.isfinite(gaps).all(axis=0)
    mean, error = np.full(len(alphas), np.inf), np.full(len(alphas), np.inf)
    mean[reached] = np.average(gaps[:, reached], axis=0, weights=weights)
    spread = np.average((gaps[:, reached] - mean[reached]) ** 2, axis=0, weights=weights)
    error[reached] = np.sqrt(spread / (len(numbers) - 1))
    chosen = int(np.argmin(mean))
    if rule == "one_standard_error":
        chosen = int(np.argmax(mean <= mean[chosen] + error[chosen]))
    genes = np.count_nonzero(coefficients, axis=0).astype(np.int64)
    return coefficients[:, chosen], PenaltyCurve(alphas, mean, error, genes, chosen)


def largest_penalty(x: Float, time: Float, event: Bool) -> float:
    """The smallest penalty at which every coefficient is zero; the path begins there."""
    alphas = _coxnet(x, time, event, n_alphas=2, alpha_min_ratio=0.99).alphas_
    if alphas[0] <= 0:
        raise refused("no gene has any slope", "a gene that differs between risk sets", "check table and outcomes")
    return float(alphas[0])


def lasso_path(x: Float, time: Float, event: Bool, alphas: Float) -> Float:
    """Coefficients ``(genes, k)`` at descending ``alphas``; fewer columns where the path ends early.

    Coxnet ends a path whose likelihood no longer rises, which by rounding it may believe of one that begins with empty
    models. A part of the patients often has a smaller largest penalty than all, so the empty models above it are
    filled in here instead of asked for. Where its iterations run out, everything after is wrong, and where weights
    overflow it gives up; the later half of the path is then left away.
    """
    empty = int(np.sum(alphas >= largest_penalty(x, time, event)))
    below = alphas[empty:]
    while len(below):
        try:
            found = np.asarray(_coxnet(x, time, event, alphas=below).coef_, dtype=np.float64)
            return np.concatenate([np.zeros((x.shape[1], empty)), found], axis=1)
        except (ArithmeticError, RuntimeError):
            below = below[: len(below) // 2]
    return np.zeros((x.shape[1], empty))


def _coxnet(x: Float, time: Float, event: Bool, **path: Any) -> Any:
    """A fitted Coxnet with the L1 penalty alone. ArithmeticError: overflow. RuntimeError: it has not converged."""
    from sklearn.exceptions import ConvergenceWarning
    from sksurv.linear_model import CoxnetSurvivalAnalysis

    cox = CoxnetSurvivalAnalysis(l1_ratio=1.0, **path)
    with warnings.catch_warnings(record=True) as seen:
        # The other warning, of an empty model, is none: on genes without a signal that is the right answer.
        warnings.simplefilter("always")
        cox.fit(x, outcome(event, time))
    if any(issubclass(one.category, ConvergenceWarning) for one in seen):
        raise RuntimeError("not converged")
    return cox


def refused(what: str, expected: str, remedy: str) -> UserError:
    """What a user gave cannot be fitted or judged."""
    return UserError(what, where="prognostic signature", expected=expected, remedy=remedy)
