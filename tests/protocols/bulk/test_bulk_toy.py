"""The made-up slides: the same from the same seed, with short slides and holes, and as good as they say."""

from __future__ import annotations

import numpy as np
import pytest

from protocols.bulk.cohort import donor_of
from protocols.bulk.toy import (
    GENES,
    OF_SECTION,
    PLACES,
    WIDTH,
    inputs_of,
    of_one_tile,
    retold,
    take,
    toy_normal,
    toy_slides,
    toy_windows,
)
from protocols.bulk.views import SlideTrainingView, SlideView
from protocols.errors import UserError


def test_shapes_patients_and_short_slides() -> None:
    toy = toy_slides()
    tiles = toy.super_tiles()
    assert (len(toy), len(set(toy.patient.tolist()))) == (75, 60)
    assert tiles.features.shape == (75, PLACES, WIDTH)
    assert [str(part.dtype) for part in (tiles.features, tiles.present)] == ["float32", "bool"]
    assert toy.targets.shape == (75, len(GENES))
    assert toy.targets.dtype == np.float32
    assert toy.targets.min() >= 0
    short = ~tiles.present.all(axis=1)
    assert 0.2 < short.mean() < 0.8
    assert (tiles.features[~tiles.present] == 0).all()
    assert (np.diff(tiles.present.astype(int), axis=1) <= 0).all()  # absent places come last


def test_slides_of_one_patient_share_expression_and_role() -> None:
    toy = toy_slides()
    for patient in toy.patient[np.unique(toy.patient, return_counts=True)[1].argmax() :][:3]:
        rows = np.flatnonzero(toy.patient == patient)
        assert (toy.targets[rows] == toy.targets[rows[0]]).all()
        assert len(set(toy.validation[rows].tolist())) == 1
    patients = np.unique(toy.patient[toy.validation])
    assert len(patients) == 6


def test_groupings_differ_and_means_do_not() -> None:
    toy = toy_slides()
    by_features, by_places = toy.super_tiles(), toy.super_tiles(grouped_by="coordinates")
    assert (by_features.present == by_places.present).all()
    moved = np.abs(by_features.features - by_places.features).max(axis=(1, 2))
    np.testing.assert_array_equal(moved[~by_features.present.all(axis=1)], 0)  # short slides have their tiles
    assert (moved > 0).any()
    short = np.flatnonzero(~by_features.present.all(axis=1))[0]
    kept = by_features.features[short][by_features.present[short]]
    np.testing.assert_allclose(toy.mean_feature()[short], kept.mean(axis=0), rtol=1e-5)


def test_same_seed_same_bytes_and_another_seed_others() -> None:
    first, second, other = toy_slides(seed=3), toy_slides(seed=3), toy_slides(seed=4)
    assert first.targets.tobytes() == second.targets.tobytes() != other.targets.tobytes()
    assert first.super_tiles().features.tobytes() == second.super_tiles().features.tobytes()


def test_the_oracle_is_what_is_reachable() -> None:
    toy = toy_slides(300)
    r = [np.corrcoef(toy.oracle()[:, k], toy.targets[:, k])[0, 1] for k in range(len(GENES))]
    assert np.mean(r[::2]) > 0.8  # genes that slides show
    assert np.mean(r[1::2]) < 0.4
    few = inputs_of(toy)
    np.testing.assert_array_equal(take(few, np.array([5, 2])).oracle(), toy.oracle()[[5, 2]])


def test_inputs_hold_no_expression() -> None:
    view = inputs_of(toy_slides())
    assert type(view) is SlideView
    assert not hasattr(view, "targets")
    assert isinstance(take(toy_slides(), np.array([1])), SlideTrainingView)


def test_normal_tissue_has_other_genes_signs_and_no_validation() -> None:
    normal = toy_normal()
    assert set(normal.genes) & set(GENES)
    assert set(normal.genes) - set(GENES)
    assert normal.targets.min() < 0
    assert not normal.validation.any()
    assert len({donor_of(patient) for patient in normal.patient.tolist()}) == 24
    with pytest.raises(UserError, match="without a known truth"):
        normal.oracle()


def test_windows_have_holes_anywhere_and_fewer_genes() -> None:
    windows = toy_windows()
    tiles = windows.super_tiles()
    assert windows.windows
    assert windows.genes == OF_SECTION != GENES
    assert not tiles.present[:, 0].all()
    assert tiles.present.mean(axis=1).min() > 0.5
    assert windows.oracle().shape == (len(windows), len(OF_SECTION))
    kept = tiles.features[1][tiles.present[1]]
    np.testing.assert_allclose(windows.mean_feature()[1], kept.mean(axis=0), rtol=1e-5)


def test_super_tiles_are_retold() -> None:
    toy = toy_slides()
    one = of_one_tile(toy, 3).super_tiles()
    assert (one.present.sum(axis=1) == 1).all()
    np.testing.assert_array_equal(one.features[:, 3], toy.super_tiles().features[:, 0])
    blind = retold(SlideView(**{**vars(inputs_of(toy)), "super_tile_reader": None}), lambda tiles: tiles)
    with pytest.raises(UserError, match="without an encoder"):
        blind.super_tiles()
