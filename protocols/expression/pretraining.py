"""What a model may pre-train on, once for all folds of a group."""

from __future__ import annotations

import numpy as np

from protocols.contract import RowArray
from protocols.splits import Fold


def pretraining_rows(folds: list[Fold]) -> RowArray:
    """The union of a group's training rows, ascending: all that a model may pre-train on."""
    return np.unique(np.concatenate([fold.train for fold in folds]))
