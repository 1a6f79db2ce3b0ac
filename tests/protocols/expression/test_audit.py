"""Planted leaks: each is caught by the audit, and an honest split is not accused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from protocols.expression.audit import audit_split
from protocols.expression.settings import ExpressionSettings, SplitChoices, split_settings
from protocols.expression.store import CohortStore
from protocols.registry import load_protocol
from protocols.splits import Fold, Split
from tests.cohorts import SlideSpec, six_patients, store_of

SETTINGS = ExpressionSettings()  # crops of 32 µm
PROTOCOLS = ("intra_patient", "inter_patient", "cross_cancer")


def split_of(name: str, store: CohortStore, settings: ExpressionSettings = SETTINGS) -> Split:
    """The split of a protocol, as the engine asks for it."""
    split: Split = load_protocol(name).split(store, settings, 0)  # type: ignore[misc]
    return split


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> CohortStore:
    return store_of(six_patients(), tmp_path_factory.mktemp("cohort"))


def verdicts(name: str, store: CohortStore, split: Split, settings: ExpressionSettings = SETTINGS) -> dict[str, str]:
    findings = audit_split(load_protocol(name).disjoint, store, split, split_settings(settings, 0))
    return {finding.check: finding.verdict for finding in findings}


def failed(name: str, store: CohortStore, split: Split, settings: ExpressionSettings = SETTINGS) -> set[str]:
    return {check for check, verdict in verdicts(name, store, split, settings).items() if verdict == "fail"}


def with_fold(split: Split, position: int, fold: Fold) -> Split:
    folds = list(split.folds)
    folds[position] = fold
    return replace(split, folds=tuple(folds))


@pytest.mark.parametrize("name", PROTOCOLS)
def test_honest_split_passes(name: str, store: CohortStore) -> None:
    assert set(verdicts(name, store, split_of(name, store)).values()) == {"pass"}


def test_unit_on_both_sides(store: CohortStore) -> None:
    split = split_of("intra_patient", store)
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
    split = split_of("intra_patient", store)
    merged = replace(split, folds=tuple(replace(fold, group=fold.group.split("/")[0]) for fold in split.folds))
    assert "no other slide of a tested patient in training" in failed("intra_patient", store, merged)


def test_overlapping_crops(store: CohortStore) -> None:
    """Blocks without the guard band: no shared unit, but shared pixels."""
    split = split_of("intra_patient", store)
    fold = split.folds[0]
    slide = store.slides_of(fold.test)[0]
    rest = np.setdiff1d(np.arange(slide.start, slide.stop), fold.test)
    assert failed("intra_patient", store, with_fold(split, 0, replace(fold, train=rest))) == {
        "no crop shares a pixel across sides"
    }


def test_overlapping_crops_hidden_in_a_groups_pretraining(store: CohortStore) -> None:
    """Each fold is sound, but their shared pre-training set covers each other's test block."""
    split = split_of("intra_patient", store)
    folds = tuple(replace(fold, group="all blocks") if fold.name.startswith("s1/") else fold for fold in split.folds)
    assert "no unit on both sides" in failed("intra_patient", store, replace(split, folds=folds))


def test_genes_chosen_on_test_data(store: CohortStore) -> None:
    settings = ExpressionSettings(split=SplitChoices(top_mean_genes=2))
    split = split_of("inter_patient", store, settings)
    assert not failed("inter_patient", store, split, settings)
    peeking = replace(split.folds[0], genes=("A", "E"))  # E is measured on the test slide alone
    assert failed("inter_patient", store, with_fold(split, 0, peeking), settings) == {
        "genes chosen on training rows alone"
    }


def test_cancer_on_both_sides(store: CohortStore) -> None:
    split = split_of("cross_cancer", store)
    fold = split.folds[0]
    breast = [slide for slide in store.slides if slide.cancer == "breast"]
    leaky = replace(fold, train=np.union1d(fold.train, store.rows_of(breast[:1])), test=store.rows_of(breast[1:]))
    assert failed("cross_cancer", store, with_fold(split, 0, leaky)) >= {"no cancer on both sides"}


def test_unit_tested_twice(store: CohortStore) -> None:
    split = split_of("inter_patient", store)
    assert "no unit tested twice" in failed("inter_patient", store, Split((*split.folds, split.folds[0])))


def test_empty_training_set(store: CohortStore) -> None:
    split = split_of("inter_patient", store)
    empty = replace(split.folds[0], train=np.zeros(0, dtype=np.int64))
    assert "rows exist, once" in failed("inter_patient", store, with_fold(split, 0, empty))


def test_unknown_patient_is_unverifiable_not_fine(store: CohortStore) -> None:
    lung = [slide for slide in store.slides if slide.cancer == "lung"]
    fold = Fold("lung", "lung", store.rows_of(lung[:1]), store.rows_of([lung[-1]]), ("A", "B", "D"))
    found = verdicts("inter_patient", store, Split((fold,)))
    assert found["no patient on both sides"] == "unverifiable"
    assert "fail" not in found.values()


def test_excluded_are_named(store: CohortStore) -> None:
    assert {item.what for item in split_of("inter_patient", store).excluded} == {"slide s7", "cancer skin"}


def test_no_folds_is_no_leak(tmp_path_factory: pytest.TempPathFactory) -> None:
    lonely = store_of([SlideSpec("a", "p", "x")], tmp_path_factory.mktemp("lonely"))
    split = split_of("inter_patient", lonely)
    assert not failed("inter_patient", lonely, split)
