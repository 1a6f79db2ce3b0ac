"""Folds of a patch cohort by patient, the same for every marker: neighbouring patches share half of their pixels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from protocols.errors import UserError
from protocols.seeds import generator
from protocols.splits import Exclusion, Fold, Split
from protocols.staining.settings import StainingSettings
from protocols.staining.store import IhcStore

FOLDS = 5
VALIDATION_SHARE = 0.1


def folds_by_patient(store: IhcStore, settings: StainingSettings, seed: int) -> Split:
    """As many folds as the settings say."""
    return patient_folds(store, seed, settings.folds)


def patient_folds(
    store: IhcStore, seed: int = 0, folds: int = FOLDS, validation_share: float = VALIDATION_SHARE
) -> Split:
    """Folds by patient, balanced by each marker's number of patches.

    Patients, largest first (equal ones in an order drawn by ``seed``), go where the squared shares of the markers'
    patches stay least. Of the others of a fold, patients in an order drawn anew are kept for stopping until every
    marker has ``validation_share`` of its training patches there; one patient at least is left to train.
    A patch whose patient is unknown might be of anyone, so it is in no fold.
    """
    known = store.patient != ""
    counts = {marker: _patches_of(store, (store.marker == marker) & known) for marker in store.markers}
    for marker, of in counts.items():
        present = sum(number > 0 for number in of.values())
        # A fold leaves two patients at least: one to train and one to stop on.
        if folds < 2 or present < max(folds, 4 if folds == 2 else 3):
            raise UserError(
                f"{present} patients of {marker} for {folds} folds",
                where=f"the folds of {store.name}",
                expected="2 folds or more, at least as many patients as folds, and at least 3 (4 for 2 folds)",
                remedy="use more patients, fewer folds or fewer markers",
            )
    shares = _shares(store.patients, counts)
    fold_of = _balanced(shares, folds, generator(seed, "ihc folds"))
    place = {patient: row for row, patient in enumerate(store.patients)}
    owner = np.array([place.get(str(patient), -1) for patient in store.patient], dtype=np.int64)
    made = []
    for index in range(folds):
        rest = np.flatnonzero(fold_of != index)
        kept = _stopping(shares, rest, validation_share, generator(seed, "ihc validation", index))
        parts = (np.setdiff1d(rest, kept), kept, np.flatnonzero(fold_of == index))
        train, validation, test = (np.flatnonzero(np.isin(owner, part)).astype(np.int64) for part in parts)
        made.append(Fold(str(index), str(index), train, test, validation=validation))
    names = zip(store.marker[~known], store.name_of[~known], strict=True)
    return Split(tuple(made), tuple(Exclusion(f"{m} patch {name}", "patient unknown") for m, name in names))


def _patches_of(store: IhcStore, chosen: NDArray[np.bool_]) -> dict[str, int]:
    patients, numbers = np.unique(store.patient[chosen], return_counts=True)
    found = dict(zip(patients.tolist(), numbers.tolist(), strict=True))
    return {patient: found.get(patient, 0) for patient in store.patients}


def _shares(patients: Iterable[str], counts: Mapping[str, Mapping[str, int]]) -> NDArray[np.float64]:
    """Each patient's share of each marker's patches, ``(patients, markers)``."""
    table = np.array([[of[patient] for of in counts.values()] for patient in patients], dtype=np.float64)
    return np.asarray(table / table.sum(axis=0), dtype=np.float64)


def _balanced(shares: NDArray[np.float64], folds: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """The fold of each patient; every fold gets a patient of every marker where there are enough."""
    fold_of = np.full(len(shares), -1, dtype=np.int64)
    load = np.zeros((folds, shares.shape[1]))
    drawn = rng.permutation(len(shares))
    for patient in drawn[np.argsort(-shares[drawn].max(axis=1), kind="stable")]:
        cost = np.square(load + shares[patient]).sum(axis=1) - np.square(load).sum(axis=1)
        fold_of[patient] = int(np.argmin(cost))
        load[fold_of[patient]] += shares[patient]
    return fold_of


def _stopping(
    shares: NDArray[np.float64], rest: NDArray[np.int64], share: float, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Training patients kept for stopping: enough of every marker's patches, and never a marker's last patient."""
    wanted = share * shares[rest].sum(axis=0)
    kept: list[int] = []
    held, left = np.zeros(shares.shape[1]), (shares[rest] > 0).sum(axis=0)
    for patient in rng.permutation(rest).tolist():
        has = shares[patient] > 0
        if (has & (held < wanted)).any() and (left[has] > 1).all():
            kept.append(patient)
            held += shares[patient]
            left -= has
    return np.sort(np.array(kept, dtype=np.int64))
