"""Folds by patient: disjoint, shared by the markers, balanced, the same again, and safe on disk."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from protocols.errors import UserError
from protocols.seeds import generator
from protocols.splits import Split, every_role
from protocols.staining.splits import _balanced, _stopping, patient_folds
from protocols.staining.store import IhcStore
from tests.protocols.staining.trees import Tree, stored

CASES = tuple(str(number) for number in range(1001, 1013))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> IhcStore:
    return stored(tmp_path_factory.mktemp("ihc"), Tree(cases=(*CASES, "unknown"), grid=(1, 2), side=32))


def rows_of(split: Split) -> list[list[list[int]]]:
    return [[rows.tolist() for rows in every_role(fold)] for fold in split.folds]


def test_every_known_patient_is_tested_once_and_is_in_one_role(store: IhcStore) -> None:
    split = patient_folds(store)
    assert len(split.folds) == 5
    tested = np.concatenate([fold.test for fold in split.folds])
    np.testing.assert_array_equal(np.sort(tested), np.flatnonzero(store.patient != ""))
    for fold in split.folds:
        people = [set(store.patient[rows].tolist()) for rows in every_role(fold)]
        assert all(people)
        assert all(not one & other for one, other in combinations(people, 2))
        assert set.union(*people) == set(CASES)
        for rows in every_role(fold):
            assert set(store.marker[rows].tolist()) == {"ER", "PR"}
            assert (np.diff(rows) > 0).all()
            assert {store.patient[row] for row in rows if store.marker[row] == "ER"} == {
                store.patient[row] for row in rows if store.marker[row] == "PR"
            }


def test_patches_of_unknown_patients_are_in_no_fold_and_named(store: IhcStore) -> None:
    split = patient_folds(store)
    assert [(one.what, one.reason) for one in split.excluded] == [
        (f"{marker} patch 7_unknown_0_0_{column}", "patient unknown") for marker in ("ER", "PR") for column in (0, 1)
    ]


def test_seeds(store: IhcStore) -> None:
    assert rows_of(patient_folds(store, 3)) == rows_of(patient_folds(store, 3))
    assert rows_of(patient_folds(store, 3)) != rows_of(patient_folds(store, 4))


def test_folds_are_balanced_by_patches_of_each_marker() -> None:
    numbers = np.random.default_rng(1).lognormal(3, 1, (60, 2))
    shares = numbers / numbers.sum(axis=0)
    for seed in range(5):
        fold_of = _balanced(shares, 5, generator(seed, "test"))
        load = np.stack([shares[fold_of == fold].sum(axis=0) for fold in range(5)])
        assert np.abs(load - 0.2).max() < 0.05
        by_number = np.stack([shares[np.arange(60) % 5 == fold].sum(axis=0) for fold in range(5)])
        assert np.abs(load - 0.2).max() < np.abs(by_number - 0.2).max()


def test_stopping_keeps_a_share_of_every_marker_and_never_a_markers_last_patient() -> None:
    shares = np.array([[0.2, 0.0], [0.2, 0.0], [0.2, 0.0], [0.2, 1.0], [0.2, 0.0]])
    rest = np.arange(5)
    for seed in range(10):
        kept = _stopping(shares, rest, 0.3, generator(seed, "stop"))
        assert 3 not in kept
        assert shares[kept, 0].sum() == pytest.approx(0.4)
    for seed in range(10):
        assert len(_stopping(np.ones((3, 1)) / 3, np.arange(3), 0.99, generator(seed, "stop"))) == 2


def test_too_few_patients(store: IhcStore, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="12 patients of ER for 13 folds"):
        patient_folds(store, folds=13)
    with pytest.raises(UserError, match="12 patients of ER for 1 folds"):
        patient_folds(store, folds=1)
    two = stored(tmp_path, Tree(cases=("1", "2")))
    with pytest.raises(UserError, match="2 patients of ER for 2 folds"):
        patient_folds(two, folds=2)
