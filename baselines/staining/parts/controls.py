"""Passes over patches in bounded pieces, for the controls of virtual staining."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from protocols.contract import RowArray
from protocols.errors import UserError

AT_ONCE = 16


def pieces(count: int) -> Iterator[RowArray]:
    """Rows 0 to ``count``, a few at a time."""
    for start in range(0, count, AT_ONCE):
        yield np.arange(start, min(start + AT_ONCE, count))


def refuse_no_patches(count: int, name: str) -> None:
    if not count:
        raise UserError("no patch to train on", where=name, expected="training pairs", remedy="add patients")
