"""Five folds by patient with a tenth kept for stopping: the recipe behind SEQUOIA's published splits."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from protocols.bulk.settings import BulkSettings
from protocols.bulk.store import BulkStore
from protocols.errors import UserError
from protocols.splits import Fold, Split

VALIDATION_SHARE = 0.1


def five_folds(store: BulkStore, settings: BulkSettings, seed: int) -> Split:
    """SEQUOIA's folds over the cohort's patients (as many as the settings say: five)."""
    return Split(tuple(published_folds(store.patients, seed, settings.folds)))


def published_folds(patients: Iterable[str], seed: int = 0, folds: int = 5) -> list[Fold]:
    """Folds over the sorted unique patients: shuffled KFold, then a tenth of each training part for validation.

    With seed 0 and the patients of a TCGA project these are the published splits of SEQUOIA (16 cancers, 5 folds).
    scikit-learn's own ``KFold`` and ``train_test_split`` are used, both with ``seed``: their draws are the recipe.
    """
    from sklearn.model_selection import KFold, train_test_split

    number = len(set(patients))
    if folds < 2 or number < 2 * folds:
        raise UserError(
            f"{number} patients for {folds} folds",
            where="the folds",
            expected="2 folds or more, and twice as many patients",
            remedy="use a larger cohort or fewer folds",
        )
    made = []
    rows = np.arange(number, dtype=np.int64)
    for index, (rest, test) in enumerate(KFold(folds, shuffle=True, random_state=seed).split(rows)):
        train, validation = train_test_split(rows[rest], test_size=VALIDATION_SHARE, random_state=seed)
        name = str(index)
        made.append(Fold(name, name, np.sort(train), np.sort(rows[test]), validation=np.sort(validation)))
    return made
