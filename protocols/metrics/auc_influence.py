"""AUC and average precision of a fold, taken apart by patient, so that their mean over folds has an interval and ranks.

AUC: a patient's deviation is DeLong's structural component less the AUC, scaled by class so that the variance of the
fold's mean is DeLong's to the last digit (``S10/m + S01/n``), and that of a difference of two models the paired one.
The interval is Student's t on the logit: on the plain scale it covers .83 at an AUC of .93 with 40 patients. Average
precision has no such components: there it is Tukey's delete-one jackknife, on the logit too. How both cover is a
simulation: tests/protocols/metrics/test_binary_coverage.py, and the table in docs/response.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from protocols.metrics.binary import Bool, Float, average_precision, placements
from protocols.metrics.intervals import Scale, fold_interval
from protocols.metrics.patient_values import PatientValues, mean_over_folds
from protocols.records import Interval

LOGIT = Scale(lambda p: math.log(p / (1 - p)), lambda z: 1 / (1 + math.exp(-z)), lambda p: 1 / (p * (1 - p)), 0.0, 1.0)
"""Of a share."""
LEAST_PATIENTS, LEAST_OF_A_CLASS = 30, 10
"""Of all folds together, responders and others each, below which no interval covers."""
LEAST_IN_FOLD = 2
"""Of either class in a fold: one alone has no variance."""
LEAST_FOR_PRECISION = 5
"""The same of average precision, whose jackknife covers .90 where four respond and the order is chance."""
Fold = tuple[Sequence[str], Bool, Float]
"""Patients, whether they responded, and the probability that a model told."""


def auc_values(response: Bool, probability: Float) -> Float | None:
    """``(n,)`` pseudo-values whose mean is the AUC; None without a pair of a responder and another."""
    found = placements(response, probability)
    if np.isnan(found).any():
        return None
    n, value = len(found), float(found[response].mean())
    deviation = found - value
    for members in (response, ~response):
        m = int(members.sum())
        # Two of a class have a variance; of one alone nothing is known, and its fold gets no interval.
        deviation[members] *= math.sqrt(n * (n - 1) / (m * (m - 1))) if m > 1 else n
    return np.asarray(value + deviation)


def precision_values(response: Bool, probability: Float) -> Float | None:
    """``(n,)`` pseudo-values whose mean is the average precision, by leaving out each patient in turn."""
    value, n = average_precision(response, probability), len(response)
    if value is None or response.sum() < LEAST_IN_FOLD:
        return None if value is None else np.full(n, value)
    rest = ~np.eye(n, dtype=bool)
    without = np.array([average_precision(response[kept], probability[kept]) for kept in rest], dtype=np.float64)
    influence = (n - 1) * (value - without)
    for members in (response, ~response):  # folds are stratified: how many respond is no chance of theirs
        influence[members] -= influence[members].mean() if members.any() else 0.0
    return np.asarray(value + influence)


def over_folds(folds: Mapping[str, Fold], values: Callable[[Bool, Float], Float | None]) -> PatientValues | None:
    """The mean over folds by patient; a fold where it is undefined is left out, None where all are."""
    found = {name: (patients, values(response, told)) for name, (patients, response, told) in folds.items()}
    known = {name: (patients, one) for name, (patients, one) in found.items() if one is not None}
    return mean_over_folds(known) if known else None


def interval_over_folds(
    values: PatientValues | None, folds: Mapping[str, Fold], least_in_fold: int = LEAST_IN_FOLD
) -> Interval:
    """Of the mean over folds, with the reason where there is none."""
    if values is None:
        return Interval(None, None, None, 0, "no fold with both outcomes")
    known = [response for name, (_, response, _) in folds.items() if name in set(values.stratum)]
    sizes = [min(int(one.sum()), int((~one).sum())) for one in known]
    fewest = min(sum(int(one.sum()) for one in known), sum(int((~one).sum()) for one in known))
    if fewest < LEAST_OF_A_CLASS:
        reason = f"{fewest} of the {LEAST_OF_A_CLASS} patients of either outcome that an interval needs"
        return Interval(values.mean, None, None, len(values), reason)
    if min(sizes) < least_in_fold:
        reason = f"a fold with {min(sizes)} of one outcome; an interval needs {least_in_fold}"
        return Interval(values.mean, None, None, len(values), reason)
    return fold_interval(values, LOGIT, least=LEAST_PATIENTS)
