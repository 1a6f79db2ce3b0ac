"""Who is trained on and who must be answered for: fold, role, slide, cell_id and the unit's place."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from protocols.expression.store import CohortStore
from protocols.task import Question

COLUMNS = ["fold", "role", "slide", "cell_id", "x_px", "y_px"]


def units(question: Question) -> Iterator[pd.DataFrame]:
    store: CohortStore = question.cohort.store
    for fold in question.split.folds:
        for role, rows in fold.roles().items():
            yield store.units.iloc[rows].assign(fold=fold.name, role=role)[COLUMNS]
