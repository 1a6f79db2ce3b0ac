"""A survival model's answer, checked before it is kept: a malformed one is the model's error."""

from __future__ import annotations

import numpy as np

from protocols.errors import UserError
from protocols.survival_contract import SurvivalPrediction

RISING = 1e-9
"""How far a curve may rise by rounding."""


def checked_survival(answer: object, n: int, model: str, fold: str) -> SurvivalPrediction:
    """The answer with float64 arrays, or a :class:`UserError` that names model and fold."""
    where, remedy = f"model {model}, fold {fold}", f"run `slide2omics check {model}`"
    if not isinstance(answer, SurvivalPrediction):
        raise UserError(
            f"predict returned a {type(answer).__name__}", where=where, expected="SurvivalPrediction", remedy=remedy
        )
    risk = np.asarray(answer.risk)
    if risk.shape != (n,):
        raise UserError(f"risk has shape {risk.shape}", where=where, expected=f"({n},)", remedy=remedy)
    if not np.issubdtype(risk.dtype, np.number) or not np.isfinite(risk).all():
        raise UserError("a risk is NaN or infinite", where=where, expected="finite numbers", remedy=remedy)
    if (answer.times is None) != (answer.survival is None):
        raise UserError("times without curves, or curves without times", where=where, expected="both", remedy=remedy)
    if answer.times is None or answer.survival is None:
        return SurvivalPrediction(risk.astype(np.float64))
    times, curves = np.asarray(answer.times, np.float64), np.asarray(answer.survival, np.float64)
    if times.ndim != 1 or curves.shape != (n, len(times)):
        raise UserError(
            f"curves {curves.shape} at times {times.shape}", where=where, expected=f"({n}, k) at (k,)", remedy=remedy
        )
    if not (np.isfinite(times).all() and np.all(np.diff(times) > 0) and (not len(times) or times[0] >= 0)):
        raise UserError("times do not ascend", where=where, expected="months, ascending, from 0", remedy=remedy)
    if not np.isfinite(curves).all() or curves.min(initial=0) < 0 or curves.max(initial=1) > 1:
        raise UserError("a curve leaves [0, 1]", where=where, expected="probabilities", remedy=remedy)
    if np.any(np.diff(curves, axis=1) > RISING):
        raise UserError("a curve rises", where=where, expected="survival that never rises", remedy=remedy)
    return SurvivalPrediction(risk.astype(np.float64), times, np.minimum.accumulate(curves, axis=1))
