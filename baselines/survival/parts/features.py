"""Tables of patients made ready for a regression: holes filled, columns standardised, all by training patients."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from protocols.contract import FloatArray
from protocols.errors import UserError

Float = NDArray[np.float64]


class Standardiser:
    """Mean 0 and variance 1 by training patients; a hole becomes the training mean (0), a constant column is dropped.

    ``keep`` limits the table to the columns of largest training variance, as recorded. Of a table in which nothing
    varies no column is left: see :func:`fitted_standardiser`.
    """

    def __init__(self, keep: int | None = None) -> None:
        self._keep = keep

    def fit(self, table: FloatArray) -> Standardiser:
        values = table.astype(np.float64)
        known = np.isfinite(values)
        count = np.maximum(known.sum(axis=0), 1)
        self._mean = np.where(known, values, 0.0).sum(axis=0) / count
        variance = (np.where(known, values - self._mean, 0.0) ** 2).sum(axis=0) / count
        chosen = np.flatnonzero(variance > 1e-12)
        if self._keep is not None and len(chosen) > self._keep:
            # Stable order, so that equal variances are cut in the order of the table.
            chosen = np.sort(chosen[np.argsort(-variance[chosen], kind="stable")[: self._keep]])
        self.columns = chosen
        self._spread = np.sqrt(variance[chosen])
        return self

    def transform(self, table: FloatArray) -> Float:
        values = table[:, self.columns].astype(np.float64) - self._mean[self.columns]
        return np.asarray(np.where(np.isfinite(values), values, 0.0) / self._spread)


def fitted_standardiser(table: FloatArray, keep: int | None = None) -> Standardiser:
    """For a model that has nothing but this table: a table without a column to fit is a :class:`UserError`."""
    standardiser = Standardiser(keep).fit(table)
    if not len(standardiser.columns):
        raise UserError(
            f"none of {table.shape[1]} columns varies among {len(table)} training patients",
            where="the table that the model is fitted on",
            expected="at least one measured column that is not constant",
            remedy="mend the cohort's table or leave this model out",
        )
    return standardiser


def with_missing_flags(table: FloatArray, train: FloatArray) -> FloatArray:
    """The table and, for every column with holes in ``train``, a column that says where ``table`` has holes."""
    flagged = ~np.isfinite(train).all(axis=0)
    return np.concatenate([table, (~np.isfinite(table[:, flagged])).astype(np.float32)], axis=1)
