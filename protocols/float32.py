"""Answers are kept in float32: what that takes, and what it loses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.errors import UserError

LEAST = float(np.finfo(np.float32).tiny)
"""Below this float32 keeps no digits."""


def as_float32(values: NDArray[Any]) -> NDArray[np.float32]:
    """A copy in float32; what is too large for it is infinite, and as such refused by whoever asks."""
    with np.errstate(over="ignore", under="ignore"):
        return values.astype(np.float32)


def refuse_lost(values: NDArray[Any], names: Sequence[str], where: str) -> None:
    """Refuse a table ``(n, k)`` most of whose columns vary below what float32 resolves from zero: constants in effect.

    Some such columns are no mistake (a model that gives a gene up answers next to nothing for it).
    """
    sizes = np.abs(np.nan_to_num(np.asarray(values, dtype=np.float64))).max(axis=0, initial=0.0)
    lost = (sizes > 0) & (sizes < LEAST)
    if 2 * lost.sum() > len(names):
        first = int(np.flatnonzero(lost)[0])
        raise UserError(
            f"{lost.sum()} of {len(names)} columns lie below {LEAST:.1e} throughout, first {names[first]}",
            where=where,
            expected="numbers that float32 can tell apart, since answers are kept in it",
            remedy="multiply them by a constant: correlations do not change",
        )
