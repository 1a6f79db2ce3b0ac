"""Bulk folds: the published splits again, their golden rows, and the file they are kept in."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.bulk.splits import published_folds
from protocols.errors import UserError
from protocols.splits import every_role
from tests.cohorts import real_data

PATIENTS = [f"p{number:02d}" for number in range(23)]
GOLDEN_TEST = [[10, 11, 14, 20, 21], [1, 8, 13, 16, 22], [2, 4, 5, 6, 17], [7, 9, 18, 19], [0, 3, 12, 15]]
GOLDEN_VALIDATION = [[1, 6], [2, 7], [1, 10], [1, 12], [2, 13]]


def test_golden_folds() -> None:
    """Rows that the recipe gave for 23 patients when it regenerated all published splits."""
    folds = published_folds(PATIENTS)
    assert [fold.name for fold in folds] == ["0", "1", "2", "3", "4"]
    assert [fold.test.tolist() for fold in folds] == GOLDEN_TEST
    assert [fold.validation.tolist() for fold in folds] == GOLDEN_VALIDATION


@settings(max_examples=25, deadline=None)
@given(number=st.integers(10, 80), seed=st.integers(0, 5), folds=st.integers(2, 5))
def test_every_patient_has_one_role_and_is_tested_once(number: int, seed: int, folds: int) -> None:
    made = published_folds([f"p{k}" for k in range(number)], seed, folds)
    for fold in made:
        assert sorted(np.concatenate(every_role(fold))) == list(range(number))
        for rows in every_role(fold):
            assert rows.dtype == np.int64
            assert (np.diff(rows) > 0).all()
        assert len(fold.validation) == int(np.ceil(0.1 * (len(fold.train) + len(fold.validation))))
    assert sorted(np.concatenate([fold.test for fold in made])) == list(range(number))


def test_order_and_repetition_of_patients_do_not_matter() -> None:
    shuffled = [*reversed(PATIENTS), *PATIENTS[:4]]
    for one, two in zip(published_folds(PATIENTS), published_folds(shuffled), strict=True):
        assert [rows.tolist() for rows in every_role(one)] == [rows.tolist() for rows in every_role(two)]
    assert published_folds(PATIENTS, seed=1)[0].test.tolist() != published_folds(PATIENTS)[0].test.tolist()


def test_the_global_generator_is_left_alone() -> None:
    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    published_folds(PATIENTS)
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002


def test_too_few_patients() -> None:
    with pytest.raises(UserError, match="9 patients for 5 folds"):
        published_folds(PATIENTS[:9])
    with pytest.raises(UserError, match="23 patients for 1 folds"):
        published_folds(PATIENTS, folds=1)


@pytest.mark.realdata
def test_the_published_splits_regenerate() -> None:
    """16 cancers, 5 folds: every train, validation and test list of the shipped file, 240 of 240."""
    published = json.loads((real_data("sequoia") / "patient_splits.json").read_text())
    same = 0
    for cancer, said in published.items():
        patients = sorted({one for role in said["fold_0"].values() for one in role})
        for number, fold in enumerate(published_folds(patients)):
            for role, rows in zip(("train", "val", "test"), fold.roles().values(), strict=True):
                same += [patients[row] for row in rows] == sorted(said[f"fold_{number}"][role])
        assert len(said) == 5, cancer
    assert (len(published), same) == (16, 240)


@pytest.mark.realdata
def test_every_published_test_slide_is_of_a_tested_patient() -> None:
    """7,524 slides (the paper: 7,584); 59 patients of the splits have none, so the published code dropped them."""
    folder = real_data("sequoia")
    splits = json.loads((folder / "patient_splits.json").read_text())
    slides = json.loads((folder / "test_wsis.json").read_text())
    total, without = 0, 0
    for cancer, by_split in slides.items():
        patients = sorted({one for role in splits[f"TCGA-{cancer.upper()}"]["fold_0"].values() for one in role})
        for number, fold in enumerate(published_folds(patients)):
            tested = {patients[row] for row in fold.test}
            named = by_split[f"split_{number}"]
            assert {slide[:12] for slide in named} <= tested, (cancer, number)
            without += len(tested - {slide[:12] for slide in named})
            total += len(named)
    assert (total, without) == (7524, 59)
