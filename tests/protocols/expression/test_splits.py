"""Splits: disjoint, guarded, golden, nothing lost without a reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.errors import UserError
from protocols.expression.settings import CropSettings, ExpressionSettings, SplitChoices
from protocols.expression.splits import clear_of, spatial_blocks
from protocols.expression.store import CohortStore
from protocols.registry import load_protocol
from protocols.splits import Split
from tests.cohorts import CROP_UM, SlideSpec, six_patients, store_of

SETTINGS = ExpressionSettings(crop=CropSettings(um=32, pixels=64))


def split_of(name: str, store: CohortStore, settings: ExpressionSettings = SETTINGS) -> Split:
    """The split of a protocol, as the engine asks for it."""
    split: Split = load_protocol(name).split(store, settings, 0)  # type: ignore[misc]
    return split


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> CohortStore:
    return store_of(six_patients(), tmp_path_factory.mktemp("cohort"))


def painted(store: CohortStore, rows: np.ndarray, slide: int) -> np.ndarray:
    """Every pixel that the crops of some rows cover, as a mask: the slow, obvious way."""
    mpp, half = store.slides[slide].mpp, CROP_UM / 2
    canvas = np.zeros((900, 900), dtype=bool)
    for x, y in store.xy_um[rows[store.slide_index[rows] == slide]]:
        left, top = int(np.floor((x - half) / mpp)) + 100, int(np.floor((y - half) / mpp)) + 100
        canvas[top : top + int(CROP_UM / mpp), left : left + int(CROP_UM / mpp)] = True
    return canvas


def test_intra_patient_crops_share_no_pixel_when_painted(store: CohortStore) -> None:
    split = split_of("intra_patient", store)
    assert len(split.folds) == 7 * 4
    for fold in split.folds[:8]:
        slide = int(store.slide_index[fold.test[0]])
        assert not np.any(painted(store, fold.train, slide) & painted(store, fold.test, slide))


def test_intra_patient_tests_every_unit_once(store: CohortStore) -> None:
    split = split_of("intra_patient", store)
    tested = np.sort(np.concatenate([fold.test for fold in split.folds]))
    assert np.array_equal(tested, np.arange(len(store)))


def test_intra_patient_group_never_holds_two_slides_of_one_patient(store: CohortStore) -> None:
    split = split_of("intra_patient", store)
    for folds in split.groups().values():
        patients = [store.slides_of(fold.test)[0].patient for fold in folds]
        assert len(patients) == len(set(patients))


def test_inter_patient_holds_out_each_patient_of_cancers_with_two(store: CohortStore) -> None:
    split = split_of("inter_patient", store)
    assert [fold.name for fold in split.folds] == ["breast/p1", "breast/p2", "lung/p3", "lung/p4"]
    reasons = {item.what: item.reason for item in split.excluded}
    assert reasons["cancer skin"] == "only one patient"
    assert "patient unknown" in reasons["slide s7"]
    first = split.folds[0]
    assert first.genes == ("A", "B", "C", "E")  # the union over the cancer's patients
    assert {slide.slide for slide in store.slides_of(first.train)} == {"s2"}


def test_cross_cancer_leaves_one_cancer_out(store: CohortStore) -> None:
    split = split_of("cross_cancer", store)
    assert [fold.name for fold in split.folds] == ["without breast", "without lung"]
    assert split.folds[0].genes == ("A", "B", "C", "D", "E")
    assert {slide.cancer for slide in store.slides_of(split.folds[0].train)} == {"lung"}


def test_cross_cancer_needs_two_cancers(tmp_path: Path) -> None:
    store = store_of([SlideSpec("a", "p", "x"), SlideSpec("b", "q", "x")], tmp_path)
    split = split_of("cross_cancer", store)
    assert split.folds == ()
    assert "two cancers" in split.excluded[-1].reason


def test_patient_with_two_cancers_is_on_one_side_only(tmp_path: Path) -> None:
    specs = [
        SlideSpec("a", "p", "x"),
        SlideSpec("b", "q", "x"),
        SlideSpec("c", "p", "y"),
        SlideSpec("d", "r", "y"),
    ]
    store = store_of(specs, tmp_path)
    for name in ("inter_patient", "cross_cancer"):
        split = split_of(name, store)
        for folds in split.groups().values():
            train = {s.patient for fold in folds for s in store.slides_of(fold.train)}
            test = {s.patient for fold in folds for s in store.slides_of(fold.test)}
            assert not train & test


def test_small_slide_is_left_out_with_a_reason(tmp_path: Path) -> None:
    store = store_of([SlideSpec("a", "p", "x"), SlideSpec("b", "q", "x", n=10)], tmp_path)
    split = split_of("intra_patient", store)
    assert {fold.name.split("/")[0] for fold in split.folds} == {"a"}
    assert split.excluded[0].reason == "fewer than 40 cells"


def test_genes_follow_training_rows_only(store: CohortStore) -> None:
    wanted = ExpressionSettings(crop=SETTINGS.crop, split=SplitChoices(top_mean_genes=2))
    fold = split_of("inter_patient", store, wanted).folds[0]
    names = ["A", "B", "C", "E"]
    mean = np.nanmean(store.targets(fold.train, names)[:, :3], axis=0)  # E is not measured in training
    assert fold.genes == tuple(sorted(np.array(names)[:3][np.argsort(-mean)[:2]]))


def test_training_cap_is_seeded_and_ascending(store: CohortStore) -> None:
    capped = ExpressionSettings(crop=SETTINGS.crop, split=SplitChoices(max_train_units=50))
    first = split_of("cross_cancer", store, capped).folds[0]
    again = split_of("cross_cancer", store, capped).folds[0]
    assert len(first.train) == 50
    assert np.array_equal(first.train, again.train)
    assert np.all(np.diff(first.train) > 0)


def test_golden_rows(store: CohortStore) -> None:
    """This cohort and seed give these rows; a change here is a change of the protocol's version."""
    fold = split_of("intra_patient", store).folds[0]
    assert fold.test[:8].tolist() == GOLDEN_TEST
    assert (len(fold.train), len(fold.test)) == GOLDEN_SIZES


GOLDEN_TEST = [25, 32, 34, 35, 36, 39, 41, 44]
GOLDEN_SIZES = (73, 30)


@pytest.mark.parametrize("blocks", [1, 3, 6, 0])
def test_blocks_must_be_a_power_of_two(blocks: int) -> None:
    with pytest.raises(UserError, match="power of two"):
        spatial_blocks(np.zeros((10, 2), dtype=np.float32), blocks)


@settings(max_examples=40, deadline=None)
@given(n=st.integers(8, 200), blocks=st.sampled_from([2, 4, 8]), seed=st.integers(0, 1000))
def test_blocks_are_balanced_and_complete(n: int, blocks: int, seed: int) -> None:
    xy = np.random.default_rng(seed).uniform(0, 100, (n, 2)).astype(np.float32)
    sizes = np.bincount(spatial_blocks(xy, blocks), minlength=blocks)
    assert sizes.sum() == n
    assert sizes.max() - sizes.min() <= np.log2(blocks)


def test_guard_band_at_its_edge() -> None:
    """One crop side plus two pixels away in x or in y is clear; a hair nearer is not."""
    test = np.array([[100.0, 100.0]])
    xy = np.array([[133.0, 100.0], [132.9, 100.0], [100.0, 67.0], [120.0, 120.0], [133.0, 133.0]])
    assert clear_of(xy, test, 32.0, 0.5).tolist() == [True, False, True, False, True]
