"""Mean over genes of Pearson r within a fold: without its small-sample bias, and taken apart by patient.

r of n units is too small by about r (1 - r²) / 2n: at ten patients .8 becomes .782. That is a property of n, not of the
model, and it depends on r: two models of equal mean r over genes, one even and one uneven, come out apart. Olkin &
Pratt's estimator is unbiased for normal data (Annals of Mathematical Statistics 29, 1958, equation 2.3).

What one patient contributes is the mean over genes of a blend of two influences on r, both known: the infinitesimal
jackknife, which is too narrow for small r and few patients (its moments were fitted to them), and the delete-one
jackknife, which is too wide for large r. Weights 1 - r² of the latter and r² of the former; no theory, but intervals
that cover .93 to .975 from five patients a fold on, for r from .3 to .9, independent and co-expressed genes, even and
uneven profiles (tests/protocols/metrics/test_coverage.py). Both agree as n grows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from protocols.metrics.correlation import Values
from protocols.metrics.gene_correlation import Correlation, moments
from protocols.metrics.patient_values import PatientValues, mean_over_folds

Float = NDArray[np.float64]
LEAST_IN_FOLD = 5
"""Patients of a fold below which no interval covers."""
_GENES_AT_ONCE = 512


class MeanCorrelation(NamedTuple):
    """``r (g,)``: mean over folds without bias, 0 where no fold defines it. ``values``: their mean over genes, by
    patient."""

    r: Float
    values: PatientValues


def unbiased(r: Float, n: int) -> Float:
    """Olkin & Pratt's r · F(1/2, 1/2; (n - 2) / 2; 1 - r²), which is r itself at 0 and ±1.

    From four units on; with three its values are ±1 whatever r is, so r stays as it is.
    """
    from scipy.special import hyp2f1

    r = np.asarray(r, dtype=np.float64)
    if n < 4:
        return r
    return np.clip(r * np.where(r == 0, 1.0, hyp2f1(0.5, 0.5, (n - 2) / 2, 1 - r * r)), -1.0, 1.0)


def mean_correlation(folds: Sequence[tuple[str, Sequence[str], Values, Values]]) -> MeanCorrelation:
    """``folds``: name, patients ``(n,)``, truth and prediction ``(n, g)``, one row a patient.

    A fold counts for a gene if it has three patients and the gene's truth varies in it; a constant prediction is an
    answer that explains nothing and counts as 0 (:func:`protocols.metrics.gene_correlation.per_fold_mean`).
    """
    found = [moments((truth, predicted)) for _, _, truth, predicted in folds]
    plain = [one.correlation(0, 1) for one in found]
    counted = np.array([~one.constant[0] for one in found])
    times = np.maximum(counted.sum(axis=0), 1)
    r = np.array([unbiased(one.r, len(truth)) for one, (_, _, truth, _) in zip(plain, folds, strict=True)])
    genes = r.shape[1]
    values: dict[str, tuple[Sequence[str], Float]] = {}
    for number, (name, patients, truth, predicted) in enumerate(folds):
        share = counted[number] / times * len(folds) / genes  # of each gene in the fold's part of the headline
        influence = _weighted_influence(truth, predicted, plain[number], share)
        part = float(share @ r[number])
        values[name] = (patients, part + influence - (influence.mean() if len(influence) else 0.0))
    return MeanCorrelation((counted * r).sum(axis=0) / times, mean_over_folds(values))


def _weighted_influence(truth: Values, predicted: Values, plain: Correlation, share: Float) -> Float:
    """``(n,)``: each patient's influence, summed over genes."""
    total = np.zeros(len(truth))
    for start in range(0, truth.shape[1], _GENES_AT_ONCE):
        part = slice(start, start + _GENES_AT_ONCE)
        total += _influence(truth[:, part], predicted[:, part], plain.r[part], plain.constant[part]) @ share[part]
    return total


def _influence(truth: Values, predicted: Values, r: Float, constant: NDArray[np.bool_]) -> Float:
    """Of each patient on each gene's r, ``(n, g)``; 0 where r is not defined."""
    n = len(truth)
    x, y = (_standard(np.asarray(side, dtype=np.float64)) for side in (truth, predicted))
    infinitesimal = x * y - r * (x * x + y * y) / 2
    # Without one of n standardised values the sums of squares are n - x² n/(n-1), and likewise for the products.
    step = n / max(n - 1, 1)
    left_x, left_y, left_xy = n - step * x * x, n - step * y * y, n * r - step * x * y
    sound = (left_x > 1e-12 * n) & (left_y > 1e-12 * n)  # else the rest is constant, and its r is 0
    scale = np.sqrt(np.where(sound, left_x * left_y, 1.0))
    without = np.where(sound, np.clip(left_xy / scale, -1.0, 1.0), 0.0)
    deleted = (n - 1) * (r - without)
    return np.where(constant, 0.0, (1 - r * r) * deleted + r * r * infinitesimal)


def _standard(values: Float) -> Float:
    centred = values - values.mean(axis=0)
    scale = np.abs(centred).max(axis=0, initial=0.0)
    unit = centred / np.where(scale > 0, scale, 1.0)  # ahead of squaring, which could underflow
    spread = np.sqrt((unit * unit).mean(axis=0))
    return np.asarray(unit / np.where(spread > 0, spread, 1.0))
