"""Hands a protocol's units to somebody who predicts elsewhere."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from protocols.cohorts.store import CohortStore
from protocols.files import written_whole
from protocols.splitting import read_split
from suite.places import COHORT, SPLITS


def write_units(protocol: str, out: Path) -> int:
    """Write fold, role (train or test), slide, cell_id, x_px, y_px as CSV; returns the number of rows."""
    store = CohortStore(COHORT)
    split, _ = read_split(SPLITS / protocol)
    parts = [
        store.units.iloc[rows].assign(fold=fold.name, role=role)
        for fold in split.folds
        for role, rows in (("train", fold.train), ("test", fold.test))
    ]
    table = pd.concat(parts)[["fold", "role", "slide", "cell_id", "x_px", "y_px"]]
    with written_whole(out) as part:
        table.to_csv(part, index=False)
    return len(table)
