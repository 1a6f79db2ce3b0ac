"""Folds by patient: the published ones where a cohort has them, else stratified by event and time."""

from __future__ import annotations

import numpy as np

from protocols.contract import RowArray
from protocols.errors import UserError
from protocols.seeds import generator
from protocols.splits import Exclusion, Fold, Split
from protocols.survival.settings import SurvivalSettings
from protocols.survival.store import PatientStore

TIME_STRATA = 4


def published_or_stratified(store: PatientStore, settings: SurvivalSettings, seed: int) -> Split:
    """The cohort's published folds, or else as many stratified ones as the settings say."""
    return make_split(store, folds=settings.folds, seed=seed)


def make_split(store: PatientStore, *, folds: int, seed: int) -> Split:
    """Train and test rows of every fold; a patient whom no published fold tests is left out, by name."""
    if store.folds is None:
        return Split(tuple(_fold(str(k), store, test) for k, test in enumerate(stratified(store, folds, seed))))
    made = []
    for fold in store.folds:
        made.append(Fold(fold.name, fold.name, store.rows_of(fold.train), store.rows_of(fold.test), ()))
    tested = {row for fold in made for row in fold.test.tolist()}
    never = [store.patients[row] for row in range(len(store)) if row not in tested]
    return Split(tuple(made), tuple(Exclusion(f"patient {name}", "no published fold tests them") for name in never))


def _fold(name: str, store: PatientStore, test: RowArray) -> Fold:
    return Fold(name, name, np.setdiff1d(np.arange(len(store), dtype=np.int64), test), test, ())


def stratified(store: PatientStore, folds: int, seed: int) -> list[RowArray]:
    """Test rows of each fold: patients are shuffled inside (event, quartile of time) and dealt out in turn.

    Dealing goes on from one stratum to the next, so that folds differ in size by one patient at most.
    """
    if len(store) < 2 * folds:
        raise UserError(
            f"{len(store)} patients", where=f"cohort {store.info.name}", expected=f"at least {2 * folds}",
            remedy="use a larger cohort",
        )  # fmt: skip
    rng = generator(seed, "survival folds", store.info.name)
    dealt: list[int] = []
    for event in (True, False):
        members = np.flatnonzero(store.event == event)
        if not len(members):
            continue
        edges = np.quantile(store.time[members], np.linspace(0, 1, TIME_STRATA + 1)[1:-1])
        stratum = np.searchsorted(edges, store.time[members], side="right")
        for level in range(TIME_STRATA):
            dealt += rng.permutation(members[stratum == level]).tolist()
    order = np.array(dealt, dtype=np.int64)
    return [np.sort(order[k::folds]) for k in range(folds)]
