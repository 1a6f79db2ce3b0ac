"""Who is trained on and who must be answered for: fold, role, slide, cell_id and the unit's place."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from protocols.expression.asked import asked_of
from protocols.task import Question

COLUMNS = ["fold", "role", "slide", "cell_id", "x_px", "y_px"]


def units(question: Question) -> Iterator[pd.DataFrame]:
    """Of an external cohort its own units alone: all of them are tested."""
    asked = asked_of(question)
    for fold in asked.folds:
        for role, rows in fold.roles().items():
            if role == "test" or not asked.external:
                yield asked.store.units.iloc[rows].assign(fold=fold.name, role=role)[COLUMNS]
