"""R² per gene: how much of a measured value's variance a prediction explains, offsets and scale included.

R² = 1 - SSE / SST (the coefficient of determination, as scikit-learn's ``r2_score``), and not the square of r: a
prediction that is right but for its offset or its spread has r = 1 and an R² that may lie below zero. Undefined (NaN),
as a correlation is, where the truth is unmeasured, constant, or of fewer than three units; scikit-learn calls a
constant truth 0 or 1. A constant prediction is defined: the truth's own mean gives 0.
"""

from __future__ import annotations

import numpy as np

from protocols.metrics.correlation import DEFINED, Float64Array, PearsonAccumulator, Values, mse_per_gene


def r_squared_per_gene(truth: Values, predicted: Values) -> Float64Array:
    """``truth (n, G)`` with NaN where not measured, ``predicted (n, G)`` -> float64 ``(G,)``, NaN where undefined."""
    accumulator = PearsonAccumulator(truth.shape[1])
    accumulator.update(truth, predicted)
    defined = np.isin(accumulator.states(), DEFINED)
    value = np.full(truth.shape[1], np.nan)
    error = mse_per_gene(truth, predicted)
    for gene in np.flatnonzero(defined):  # one gene's float64 copy at a time
        seen = truth[~np.isnan(truth[:, gene]), gene].astype(np.float64)
        value[gene] = 1.0 - error[gene] / np.var(seen)
    return value
