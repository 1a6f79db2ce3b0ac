"""Super-tiles: grouped by features or by places, few tiles kept first and marked, precomputed bags, exact files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.bulk.super_tiles import (
    NOTE_FILE,
    SlideTiles,
    SuperTileFiles,
    group_means,
    make_super_tiles,
    read_slide_tiles,
)
from protocols.errors import UserError
from protocols.images.tiling import TileRows
from protocols.readers.bag_files import read_bag
from protocols.survival.cohort import SlideFile

PLACES, WIDTH = 4, 6


def four_groups(n: int = 40, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features in four tight clusters, places in four others; labels of both are unrelated."""
    rng = np.random.default_rng(seed)
    kind = np.concatenate([np.arange(4), rng.integers(0, 4, n - 4)])
    corner = np.concatenate([rng.permutation(4), rng.integers(0, 4, n - 4)])
    features = 10.0 * np.eye(WIDTH)[kind] + 0.01 * rng.normal(size=(n, WIDTH))
    xy = 1000.0 * np.stack([corner % 2, corner // 2], axis=1) + rng.uniform(0, 10, (n, 2))
    return features.astype(np.float32), xy, np.stack([kind, corner])


def sorted_rows(values: np.ndarray) -> np.ndarray:
    return values[np.lexsort(values.T)]


@pytest.mark.parametrize("by", ["features", "coordinates"])
def test_means_of_the_groups_that_there_are(by: str) -> None:
    features, xy, labels = four_groups()
    means, present = group_means(features, features if by == "features" else xy, PLACES)
    label = labels[0 if by == "features" else 1]
    expected = np.stack([features[label == group].mean(axis=0) for group in range(4)])
    assert present.all()
    assert means.dtype == np.float32
    np.testing.assert_allclose(sorted_rows(means.round(3)), sorted_rows(expected.round(3)), atol=2e-3)


def test_features_and_places_group_differently() -> None:
    """SEQUOIA groups by features while it cites HE2RNA, which groups by places."""
    features, xy, _ = four_groups()
    by_features, _ = group_means(features, features, PLACES)
    by_places, _ = group_means(features, xy, PLACES)
    assert by_features.max(axis=1).min() > 9.9, "pure groups"
    assert by_places.max(axis=1).max() < 9.0, "mixed ones"
    np.testing.assert_allclose(features.mean(axis=0), by_features.mean(axis=0), atol=4)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 999), st.integers(1, PLACES))
def test_few_tiles_are_kept_first_as_they_are(seed: int, tiles: int) -> None:
    features = np.random.default_rng(seed).normal(size=(tiles, WIDTH)).astype(np.float32)
    means, present = group_means(features, features, PLACES)
    np.testing.assert_array_equal(means[:tiles], features)
    assert present.tolist() == [True] * tiles + [False] * (PLACES - tiles)
    assert not means[tiles:].any()


def test_grouping_is_the_same_again_whatever_was_drawn_before() -> None:
    """scikit-learn is handed its seed: the global generator neither moves nor matters."""
    features, _, _ = four_groups(60)
    state = np.random.get_state()  # noqa: NPY002
    first = group_means(features, features, 7)[0]
    assert np.random.get_state()[1].tolist() == state[1].tolist()  # type: ignore[index,union-attr]  # noqa: NPY002
    np.random.random(3)  # noqa: NPY002
    np.testing.assert_array_equal(group_means(features, features, 7)[0], first)
    np.random.set_state(state)  # noqa: NPY002


def test_equal_tiles_leave_places_absent_and_no_mean_of_nothing() -> None:
    """Without scikit-learn's warning, which is no news here (warnings are errors in tests)."""
    features = np.ones((9, WIDTH), np.float32)
    means, present = group_means(features, features, PLACES)
    assert present.sum() == 1
    assert np.isfinite(means).all()
    assert not means[~present].any()


def three_slides() -> Iterator[SlideTiles]:
    for seed, n in enumerate((40, 3, 12)):
        features, xy, _ = four_groups(max(n, 4), seed)
        yield SlideTiles(features[:n], xy[:n])


def test_files_hold_both_groupings_the_mean_and_who_is_present(tmp_path: Path) -> None:
    make_super_tiles(tmp_path, "made up", three_slides(), 3, PLACES)
    record = json.loads((tmp_path / NOTE_FILE).read_text())
    assert {key: record[key] for key in ("width", "slides", "tiles", "fewer_than_places")} == {
        "width": WIDTH, "slides": 3, "tiles": 55, "fewer_than_places": 1,
    }  # fmt: skip
    files = SuperTileFiles(tmp_path)
    for row, slide in enumerate(three_slides()):
        for grouped_by, by in (("features", slide.features), ("coordinates", slide.xy)):
            means, present = group_means(slide.features, by, PLACES)
            found = files.super_tiles(np.array([row]), grouped_by)  # type: ignore[arg-type]
            np.testing.assert_array_equal(found.features[0], means)
            np.testing.assert_array_equal(found.present[0], present)
        np.testing.assert_allclose(files.mean(np.array([row]))[0], slide.features.mean(axis=0), rtol=1e-5)
    picked = files.super_tiles(np.array([2, 0]), "features").features
    np.testing.assert_array_equal(picked[1], files.super_tiles(np.array([0]), "features").features[0])


def bags(root: Path, **data: np.ndarray) -> tuple[SlideFile, ...]:
    slides = []
    for name in ("a", "b"):
        with h5py.File(root / f"{name}.h5", "w") as file:
            for key, values in data.items():
                file[key] = values
        slides.append(SlideFile(name, f"patient {name}", f"{name}.h5", kind="bag", encoder="uni"))
    return tuple(slides)


def no_tiles() -> TileRows:
    return TileRows(np.zeros(0, np.int32), np.zeros((0, 2)), {})


def test_sequoias_feature_files_are_read_and_their_clusters_left_alone(tmp_path: Path) -> None:
    """``<wsi>.h5`` as released: ``uni_features`` or ``resnet_features`` (n, d), and ``cluster_features`` (100, d)."""
    features, _, _ = four_groups(20)
    slides = bags(tmp_path, uni_features=features, cluster_features=np.zeros((100, WIDTH), np.float32))
    read = list(read_slide_tiles(slides, tmp_path, "uni", no_tiles(), None))
    assert all(one.xy is None for one in read)
    for one in read:
        np.testing.assert_array_equal(one.features, features)
    with pytest.raises(UserError, match=r"it holds cluster_features, uni_features; expected features"):
        read_bag(tmp_path / "a.h5", "resnet50")
    other = tmp_path / "resnet"
    other.mkdir()
    bags(other, resnet_features=2 * features)
    np.testing.assert_array_equal(read_bag(other / "a.h5", "resnet50"), 2 * features)


def test_precomputed_bags_have_no_places_to_be_grouped_by(tmp_path: Path) -> None:
    features, _, _ = four_groups(20)
    slides = bags(tmp_path, features=features)
    read = read_slide_tiles(slides, tmp_path, "uni", no_tiles(), None)
    make_super_tiles(tmp_path, "bags", read, 2, PLACES)
    files = SuperTileFiles(tmp_path)
    assert files.super_tiles(np.array([0, 1]), "features").present.all()
    with pytest.raises(UserError, match="tiles without places"):
        files.super_tiles(np.array([0]), "coordinates")


def test_slides_of_two_widths_are_refused(tmp_path: Path) -> None:
    mixed = iter([SlideTiles(np.ones((2, 5), np.float32), None), SlideTiles(np.ones((2, 6), np.float32), None)])
    with pytest.raises(UserError, match="slide 1 has 6 features a tile; expected 5"):
        make_super_tiles(tmp_path, "bags", mixed, 2, PLACES)
    assert not (tmp_path / NOTE_FILE).exists()


def test_image_slides_take_their_rows_of_the_embedding(tmp_path: Path) -> None:
    embedding = np.arange(30, dtype=np.float32).reshape(5, 6)
    np.save(tmp_path / "uni.npy", embedding)
    tiles = TileRows(np.array([0, 0, 1, 1, 1], np.int32), np.arange(10.0).reshape(5, 2), {0: 0.5, 1: 0.5})
    slides = (SlideFile("a", "p", "a.tif"), SlideFile("b", "q", "b.tif"))
    first, second = read_slide_tiles(slides, tmp_path, "uni", tiles, tmp_path / "uni.npy")
    np.testing.assert_array_equal(first.features, embedding[:2])
    np.testing.assert_array_equal(second.features, embedding[2:])
    np.testing.assert_array_equal(second.xy, np.arange(4.0, 10.0).reshape(3, 2))
