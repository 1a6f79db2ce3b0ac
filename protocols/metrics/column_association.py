"""One number a patient against an outcome, column by column: follow-up (Cox) or a response of yes and no (AUC).

Screening, not prediction: each column by itself on all patients, in sample. Benjamini-Hochberg over the columns that
have an estimate; the others say why they have none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from protocols.errors import UserError
from protocols.metrics.binary import placements
from protocols.metrics.cox import Z95, cox_hazard_ratios
from protocols.metrics.well_predicted import benjamini_hochberg

if TYPE_CHECKING:
    import pandas as pd

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]

HAZARD_RATIO, AUC = "hazard ratio per SD", "AUC"
LEAST_PATIENTS = 10


@dataclass(frozen=True)
class Association:
    """One column: ``estimate`` (a hazard ratio per SD, or an AUC) with its 95 % interval, p and q; ``events`` are
    events or responders among the ``n`` patients that have the column. Undefined: NaN, p and q 1, a ``reason``."""

    column: str
    measure: str
    n: int
    events: int
    estimate: float
    low: float
    high: float
    p: float
    q: float = 1.0
    reason: str = ""


def with_follow_up(table: pd.DataFrame, time: Float, event: Bool) -> list[Association]:
    """A univariate Cox model a column, per SD of the column among those who have it (Efron's ties, Wald)."""
    return _corrected([_cox(table, str(name), time, event) for name in table.columns])


def with_response(table: pd.DataFrame, response: Bool) -> list[Association]:
    """AUC a column, DeLong's interval on the logit scale, p of Mann-Whitney (two-sided, ties corrected)."""
    return _corrected([_auc(table, str(name), response) for name in table.columns])


def auc_with_interval(values: Float, response: Bool) -> tuple[float, float, float]:
    """P(value of a responder > of another) + half the ties, and DeLong's 95 % interval on the logit scale.

    At 0 or 1 DeLong's variance is 0, which no sample of this size proves: there the interval ends where a responder
    and another pair of the opposite order, one in all, would still be likely (rule of three on the smaller group).
    DeLong, DeLong and Clarke-Pearson, Biometrics 1988.
    """
    found = placements(response, values)
    above, below = found[response], found[~response]
    auc = float(above.mean())
    if auc in (0.0, 1.0):
        reach = min(1.0, 3 / min(len(above), len(below)))
        return auc, (0.0 if auc == 0 else 1 - reach), (reach if auc == 0 else 1.0)
    error = math.sqrt(above.var(ddof=1) / len(above) + below.var(ddof=1) / len(below))
    centre, wide = math.log(auc / (1 - auc)), Z95 * error / (auc * (1 - auc))
    return auc, _logistic(centre - wide), _logistic(centre + wide)


def _cox(table: pd.DataFrame, name: str, time: Float, event: Bool) -> Association:
    values, kept, reason = _kept(table, name)
    n, events = int(kept.sum()), int(event[kept].sum())
    if reason:
        return _undefined(name, HAZARD_RATIO, n, events, reason)
    one = table.loc[kept, [name]].copy()
    one[name] = (values[kept] - values[kept].mean()) / values[kept].std()
    try:
        ratio = cox_hazard_ratios(time[kept], event[kept], one)[0]
    except UserError as error:
        return _undefined(name, HAZARD_RATIO, n, events, error.what)
    return Association(name, HAZARD_RATIO, n, events, ratio.hazard_ratio, ratio.low, ratio.high, ratio.p)


def _auc(table: pd.DataFrame, name: str, response: Bool) -> Association:
    from scipy.stats import mannwhitneyu

    values, kept, reason = _kept(table, name)
    n, events = int(kept.sum()), int(response[kept].sum())
    if not reason and min(events, n - events) < 2:
        reason = f"{events} of {n} respond: fewer than two on one side"
    if reason:
        return _undefined(name, AUC, n, events, reason)
    values, answered = values[kept], response[kept]
    p = float(mannwhitneyu(values[answered], values[~answered], alternative="two-sided").pvalue)
    return Association(name, AUC, n, events, *auc_with_interval(values, answered), p)


def _kept(table: pd.DataFrame, name: str) -> tuple[Float, Bool, str]:
    values = table[name].to_numpy(dtype=np.float64)
    kept = np.isfinite(values)
    if kept.sum() < LEAST_PATIENTS:
        return values, kept, f"{int(kept.sum())} patients have it, fewer than {LEAST_PATIENTS}"
    return values, kept, "constant" if np.ptp(values[kept]) == 0 else ""


def _corrected(found: list[Association]) -> list[Association]:
    defined = [at for at, one in enumerate(found) if not one.reason]
    if defined:
        q = benjamini_hochberg(np.array([found[at].p for at in defined]))
        for at, value in zip(defined, q.tolist(), strict=True):
            found[at] = replace(found[at], q=value)
    return found


def _undefined(name: str, measure: str, n: int, events: int, reason: str) -> Association:
    return Association(name, measure, n, events, math.nan, math.nan, math.nan, 1.0, reason=reason)


def _logistic(value: float) -> float:
    return 1 / (1 + math.exp(-value)) if value > -700 else 0.0
