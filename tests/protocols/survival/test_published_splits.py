"""Splits in the layout of MICA's 13 TCGA cohorts: slides where patients are meant, validation repeated as test."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from protocols.errors import UserError
from protocols.readers.patient_tables import read_splits
from protocols.survival.audit import audit_survival
from protocols.survival.read import read_patients
from protocols.survival.splits import make_split
from protocols.survival.store import write_patient_store

PATIENTS = [f"TCGA-A{k // 10}-00{k:02d}" for k in range(30)]


def slides_of(patient: str) -> list[str]:
    """Two slides of every third patient, one of the others."""
    count = 2 if int(patient[-2:]) % 3 == 0 else 1
    return [f"{patient}-01Z-00-DX{k + 1}.0F1E-22AA.svs" for k in range(count)]


def mica_layout(folder: Path, *, both_sides: bool = False) -> Path:
    """Five files: all slides of the training patients, one of each validation patient, and that again as test."""
    folder.mkdir()
    for number in range(5):
        tested = PATIENTS[number::5]
        trained = [patient for patient in PATIENTS if patient not in tested] + (tested[:1] if both_sides else [])
        train = [slide for patient in trained for slide in slides_of(patient)]
        val = [slides_of(patient)[0] for patient in tested]
        table = pd.DataFrame({"train": pd.Series(train), "val": pd.Series(val), "test": pd.Series(val)})
        table.to_csv(folder / f"splits_{number}.csv")
    return folder


def store_of(tmp_path: Path, **layout: bool):
    mica_layout(tmp_path / "splits", **layout)
    outcome = pd.DataFrame({"patient": PATIENTS, "time": range(1, 31), "event": [1, 0] * 15})
    outcome.to_csv(tmp_path / "outcome.csv", index=False)
    cohort = read_patients("c", "tidy", tmp_path, outcome="outcome.csv", splits="splits")
    return write_patient_store(tmp_path / "store", cohort, phantom=False, root=tmp_path)


def test_slides_are_read_as_their_patients(tmp_path: Path) -> None:
    folds = read_splits(mica_layout(tmp_path / "splits"))
    assert [fold.name for fold in folds] == list("01234")
    for number, fold in enumerate(folds):
        assert fold.test == tuple(PATIENTS[number::5])
        assert set(fold.train) == set(PATIENTS) - set(fold.test)
    # Thirty patients, ten with two slides; fold 0 tests 0, 5, 10, 15, 20, 25, of whom 0 and 15 have two.
    assert folds[0].faults == (
        "names slides where patients are meant (32 of train are slides of 24 patients, 6 of test are slides of 6 "
        "patients)",
        "validation equals test: what was chosen on it was chosen on the patients that are reported",
    )


def test_the_audit_tells_the_faults_and_passes_the_folds(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    found = {one.check: one for one in audit_survival(store, make_split(store, folds=5, seed=0))}
    told = found["folds as they were published"]
    assert told.verdict == "note"
    assert told.detail.count("validation equals test") == 5
    assert found["no patient on both sides"].verdict == found["no patient tested twice"].verdict == "pass"


def test_a_patient_behind_slides_on_both_sides_is_refused(tmp_path: Path) -> None:
    store = store_of(tmp_path, both_sides=True)
    found = {one.check: one for one in audit_survival(store, make_split(store, folds=5, seed=0))}
    assert found["no patient on both sides"].verdict == "fail"


def test_a_slide_without_a_barcode_has_no_patient(tmp_path: Path) -> None:
    pd.DataFrame({"train": ["A"], "val": ["S-17-1234.svs"]}).to_csv(tmp_path / "splits_0.csv", index=False)
    with pytest.raises(UserError, match="is a slide's name"):
        read_splits(tmp_path)


def test_patients_stay_as_they_are_and_a_test_of_its_own_is_what_is_tested(tmp_path: Path) -> None:
    pd.DataFrame({"train": ["A", "B"], "val": ["C", None], "test": ["D", None]}).to_csv(tmp_path / "splits_0.csv")
    (fold,) = read_splits(tmp_path)
    assert (fold.train, fold.test, fold.faults) == (("A", "B"), ("D",), ())
