"""Ranks of every column of a matrix at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def average_ranks(values: NDArray[Any]) -> NDArray[np.float64]:
    """Ranks 1…n down each column of ``(n, G)``; ties share their mean rank; NaN keeps no rank (NaN)."""
    columns = np.ascontiguousarray(values.T)  # sorting runs along memory
    order = np.argsort(columns, axis=1)  # NaN go last; the order within ties does not matter
    ordered = np.take_along_axis(columns, order, axis=1)
    n = columns.shape[1]
    first = np.ones(columns.shape, dtype=bool)  # first of its run of equal values
    np.not_equal(ordered[:, 1:], ordered[:, :-1], out=first[:, 1:])
    position = np.arange(n)
    start = np.maximum.accumulate(np.where(first, position, 0), axis=1)
    last = np.ones(columns.shape, dtype=bool)
    last[:, :-1] = first[:, 1:]
    end = np.minimum.accumulate(np.where(last, position, n)[:, ::-1], axis=1)[:, ::-1]
    ranks = np.empty(columns.shape)
    np.put_along_axis(ranks, order, (start + end) / 2 + 1.0, axis=1)
    if np.issubdtype(columns.dtype, np.floating):
        ranks[np.isnan(columns)] = np.nan
    return ranks.T
