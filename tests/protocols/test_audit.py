"""Planted leaks: each is caught by the audit, and an honest split is not accused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from protocols import load_protocol
from protocols.audit import audit, audit_report
from protocols.cohorts.store import CohortStore
from protocols.protocol import Fold, GeneChoice, Split, SplitSettings
from tests.cohorts import CROP_UM, SlideSpec, six_patients, store_of

SETTINGS = SplitSettings(crop_um=CROP_UM)
PROTOCOLS = ("intra_patient", "inter_patient", "cross_cancer")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> CohortStore:
    return store_of(six_patients(), tmp_path_factory.mktemp("cohort"))


def verdicts(name: str, store: CohortStore, split: Split, settings: SplitSettings = SETTINGS) -> dict[str, str]:
    return {finding.check: finding.verdict for finding in audit(load_protocol(name), store, split, settings)}


def failed(name: str, store: CohortStore, split: Split, settings: SplitSettings = SETTINGS) -> set[str]:
    return {check for check, verdict in verdicts(name, store, split, settings).items() if verdict == "fail"}


def with_fold(split: Split, position: int, fold: Fold) -> Split:
    folds = list(split.folds)
    folds[position] = fold
    return replace(split, folds=tuple(folds))


@pytest.mark.parametrize("name", PROTOCOLS)
def test_honest_split_passes(name: str, store: CohortStore) -> None:
    assert set(verdicts(name, store, load_protocol(name).split(store, SETTINGS)).values()) == {"pass"}


def test_unit_on_both_sides(store: CohortStore) -> None:
    split = load_protocol("intra_patient").split(store, SETTINGS)
    fold = split.folds[0]
    leaky = replace(fold, train=np.union1d(fold.train, fold.test[:1]))
    assert "no unit on both sides" in failed("intra_patient", store, with_fold(split, 0, leaky))


def test_patient_on_both_sides(store: CohortStore) -> None:
    """Another slide of the tested patient in training: rows differ, crops differ, the person is the same."""
    skin = [store.slides[4], store.slides[5]]
    fold = Fold("skin", "skin", store.rows_of(skin[:1]), store.rows_of(skin[1:]), ("A", "B", "C", "D"))
    assert failed("inter_patient", store, Split((fold,))) == {"no patient on both sides"}


def test_serial_section_of_a_tested_patient_in_pretraining(store: CohortStore) -> None:
    """Two slides of one patient in one intra-patient group: the sister slide shows the held-out cells."""
    split = load_protocol("intra_patient").split(store, SETTINGS)
    merged = replace(split, folds=tuple(replace(fold, group=fold.group.split("/")[0]) for fold in split.folds))
    assert "no other slide of a tested patient in training" in failed("intra_patient", store, merged)


def test_overlapping_crops(store: CohortStore) -> None:
    """Blocks without the guard band: no shared unit, but shared pixels."""
    split = load_protocol("intra_patient").split(store, SETTINGS)
    fold = split.folds[0]
    slide = store.slides_of(fold.test)[0]
    rest = np.setdiff1d(np.arange(slide.start, slide.stop), fold.test)
    assert failed("intra_patient", store, with_fold(split, 0, replace(fold, train=rest))) == {
        "no crop shares a pixel across sides"
    }


def test_overlapping_crops_hidden_in_a_groups_pretraining(store: CohortStore) -> None:
    """Each fold is sound, but their shared pre-training set covers each other's test block."""
    split = load_protocol("intra_patient").split(store, SETTINGS)
    folds = tuple(replace(fold, group="all blocks") if fold.name.startswith("s1/") else fold for fold in split.folds)
    assert "no unit on both sides" in failed("intra_patient", store, replace(split, folds=folds))


def test_genes_chosen_on_test_data(store: CohortStore) -> None:
    settings = SplitSettings(crop_um=CROP_UM, genes=GeneChoice(top_mean=2))
    split = load_protocol("inter_patient").split(store, settings)
    assert not failed("inter_patient", store, split, settings)
    peeking = replace(split.folds[0], genes=("A", "E"))  # E is measured on the test slide alone
    assert failed("inter_patient", store, with_fold(split, 0, peeking), settings) == {
        "genes chosen on training rows alone"
    }


def test_cancer_on_both_sides(store: CohortStore) -> None:
    split = load_protocol("cross_cancer").split(store, SETTINGS)
    fold = split.folds[0]
    breast = [slide for slide in store.slides if slide.cancer == "breast"]
    leaky = replace(fold, train=np.union1d(fold.train, store.rows_of(breast[:1])), test=store.rows_of(breast[1:]))
    assert failed("cross_cancer", store, with_fold(split, 0, leaky)) >= {"no cancer on both sides"}


def test_unit_tested_twice(store: CohortStore) -> None:
    split = load_protocol("inter_patient").split(store, SETTINGS)
    assert "no unit tested twice" in failed("inter_patient", store, Split((*split.folds, split.folds[0])))


def test_empty_training_set(store: CohortStore) -> None:
    split = load_protocol("inter_patient").split(store, SETTINGS)
    empty = replace(split.folds[0], train=np.zeros(0, dtype=np.int64))
    assert "rows exist, once" in failed("inter_patient", store, with_fold(split, 0, empty))


def test_unknown_patient_is_unverifiable_not_fine(store: CohortStore) -> None:
    lung = [slide for slide in store.slides if slide.cancer == "lung"]
    fold = Fold("lung", "lung", store.rows_of(lung[:1]), store.rows_of([lung[-1]]), ("A", "B", "D"))
    found = verdicts("inter_patient", store, Split((fold,)))
    assert found["no patient on both sides"] == "unverifiable"
    assert "fail" not in found.values()


def test_report_names_sides_and_exclusions(tmp_path: object, store: CohortStore) -> None:
    protocol = load_protocol("inter_patient")
    split = protocol.split(store, SETTINGS)
    report = audit_report(protocol, store, split, audit(protocol, store, split, SETTINGS))
    assert report["verdict"] == "pass"
    assert report["folds"][0]["train_patients"] == ["p2"]
    assert {item["what"] for item in report["excluded"]} == {"slide s7", "cancer skin"}


def test_no_folds_is_no_leak(tmp_path_factory: pytest.TempPathFactory) -> None:
    lonely = store_of([SlideSpec("a", "p", "x")], tmp_path_factory.mktemp("lonely"))
    split = load_protocol("inter_patient").split(lonely, SETTINGS)
    assert not failed("inter_patient", lonely, split)
