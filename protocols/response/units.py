"""Who is trained on and who must be answered for: cohort, fold, role, patient."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from protocols.task import Question


def units(question: Question) -> Iterator[pd.DataFrame]:
    patients = np.array(question.cohort.store.patients)
    for fold in question.split.folds:
        for role, rows in fold.roles().items():
            told = {"cohort": question.cohort.name, "fold": fold.name, "role": role, "patient": patients[rows]}
            yield pd.DataFrame(told)
