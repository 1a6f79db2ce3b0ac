"""Folds by patient, stratified by response."""

from __future__ import annotations

import numpy as np

from protocols.contract import RowArray
from protocols.errors import UserError
from protocols.response.settings import ResponseSettings
from protocols.response.store import ResponseStore
from protocols.seeds import generator
from protocols.splits import Fold, Split

LEAST_TRAINED = 2
"""Of either outcome in every fold's training patients."""


def stratified(store: ResponseStore, settings: ResponseSettings, seed: int) -> Split:
    """Responders are shuffled and dealt out in turn, then the others from where these ended: folds differ by one
    patient at most, in all and of either outcome. The shuffle follows seed and cohort name."""
    rows = {True: np.flatnonzero(store.response), False: np.flatnonzero(~store.response)}
    needed = max(settings.folds, LEAST_TRAINED + 1)
    for responded, words in ((True, "responders"), (False, "patients who did not respond")):
        if len(rows[responded]) < needed:
            raise UserError(
                f"{len(rows[responded])} {words}", where=f"cohort {store.name}",
                expected=f"at least {needed}, so that each of {settings.folds} folds tests one",
                remedy="use a larger cohort, or fewer folds",
            )  # fmt: skip
    rng = generator(seed, "response folds", store.name)
    order = np.concatenate([rng.permutation(rows[True]), rng.permutation(rows[False])]).astype(np.int64)
    everybody = np.arange(len(store), dtype=np.int64)
    tests: list[RowArray] = [np.sort(order[k :: settings.folds]) for k in range(settings.folds)]
    return Split(
        tuple(Fold(str(k), str(k), np.setdiff1d(everybody, test), test) for k, test in enumerate(tests)),
    )
