"""Nuclei of made-up sections are found, counted and measured; StarDist is used only where it is."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import pytest
from scipy import ndimage

from protocols.errors import UserError
from protocols.metrics.nuclei import (
    STARDIST_WEIGHTS,
    WatershedSettings,
    areas_um2,
    count,
    mean_per_nucleus,
    nuclear_stain,
    of_size,
    segment_stardist,
    segment_watershed,
)
from protocols.metrics.stain import H_DAB, dab_od
from protocols.seeds import generator
from tests.protocols.metrics.made_up_sections import mixed_dab, painted, section


@pytest.mark.parametrize("he", [True, False])
@pytest.mark.parametrize("mpp", [0.25, 0.5])
@pytest.mark.parametrize("threshold", ["otsu", "local"])
def test_nuclei_are_found_at_any_resolution(he: bool, mpp: float, threshold: Any) -> None:
    rgb, truth = section(1, mixed_dab(1), mpp=mpp, he=he)
    found = segment_watershed(rgb, mpp, image="he" if he else "ihc", settings=WatershedSettings(threshold=threshold))
    assert found.dtype == np.int32
    assert abs(count(found) - 100) <= 3
    overlap = ((found > 0) & (truth > 0)).sum() / ((found > 0) | (truth > 0)).sum()
    assert overlap > 0.7
    assert np.median(areas_um2(found, mpp)) == pytest.approx(np.pi * 3.5**2, rel=0.35)
    np.testing.assert_array_equal(np.unique(found), np.arange(count(found) + 1))


def test_touching_nuclei_are_two() -> None:
    y, x = np.indices((80, 80)) * 0.5
    stain = 0.3 * ((np.hypot(y - 20, x - 16.5) < 4) | (np.hypot(y - 20, x - 23.5) < 4)).astype(float)
    rgb = painted(stain, np.zeros_like(stain), H_DAB, 255.0)
    assert count(segment_watershed(rgb, 0.5, image="ihc")) == 2
    one = segment_watershed(rgb, 0.5, image="ihc", settings=WatershedSettings(separation_um=8))
    assert count(one) == 1


def test_an_empty_image_has_no_nuclei() -> None:
    noise = np.clip(generator(0, "glass").normal(240, 3, (96, 96, 3)), 0, 255).astype(np.uint8)
    for blank in (np.full((64, 64, 3), 255, np.uint8), np.zeros((64, 64, 3), np.uint8), noise):
        for image in ("he", "ihc"):
            found = segment_watershed(blank, 0.5, image=image)
            assert not found.any()
            assert mean_per_nucleus(found, np.ones(found.shape)).shape == (0,)


def test_brown_nuclei_need_both_stains() -> None:
    """A strong nucleus shows little haematoxylin of its own: that channel alone would lose it."""
    y, x = np.indices((80, 80)) * 0.5
    inside = (np.hypot(y - 20, x - 20) < 4).astype(float)
    rgb = painted(0.02 + 0.03 * inside, 0.7 * inside, H_DAB, 255.0)
    assert count(segment_watershed(rgb, 0.5, image="ihc")) == 1
    assert count(segment_watershed(rgb, 0.5, image="ihc, haematoxylin alone")) == 0
    assert (nuclear_stain(rgb, "ihc") >= nuclear_stain(rgb, "ihc, haematoxylin alone")).all()


def test_the_rim_of_strong_nuclei_is_left_off() -> None:
    """With one threshold for all, strong nuclei come out larger than weak ones, and paler than they are."""
    dab = np.repeat([0.1, 0.8], 40)
    rgb, truth = section(5, dab)
    own, common = (segment_watershed(rgb, 0.5, image="ihc", settings=WatershedSettings(rim=rim)) for rim in (0.6, 0.0))
    strong, rims = (truth > 40) & (own > 0), (common > 0) & (own == 0) & (ndimage.maximum_filter(truth, 5) > 40)
    assert rims.sum() > 0.1 * strong.sum()
    assert dab_od(rgb)[rims].mean() < 0.5 * dab_od(rgb)[strong].mean()
    size = [ndimage.sum_labels(own > 0, truth, np.flatnonzero(dab == amount) + 1).mean() for amount in (0.1, 0.8)]
    assert size[1] == pytest.approx(size[0], rel=0.1)


def test_turning_the_image_turns_the_nuclei() -> None:
    rgb, _ = section(2, mixed_dab(2, 40))
    straight, turned = (segment_watershed(image, 0.5, image="ihc") for image in (rgb, np.rot90(rgb).copy()))
    assert abs(count(straight) - count(turned)) <= 1
    assert (np.rot90(straight > 0) == (turned > 0)).mean() > 0.999


def test_same_image_same_labels() -> None:
    rgb, _ = section(3, mixed_dab(3, 40))
    np.testing.assert_array_equal(segment_watershed(rgb, 0.5), segment_watershed(rgb.copy(), 0.5))


def test_means_and_areas_are_ndimages() -> None:
    rng = generator(0, "labels")
    labels = rng.integers(0, 9, (30, 40)).astype(np.int32)
    values = rng.normal(size=(30, 40))
    np.testing.assert_allclose(mean_per_nucleus(labels, values), ndimage.mean(values, labels, np.arange(1, 9)))
    np.testing.assert_allclose(areas_um2(labels, 0.5), ndimage.sum_labels(labels > 0, labels, np.arange(1, 9)) / 4)


def test_dab_of_known_nuclei() -> None:
    dab = np.linspace(0, 0.9, 60)
    rgb, truth = section(4, dab)
    np.testing.assert_allclose(mean_per_nucleus(truth, dab_od(rgb)), dab, atol=0.09)
    assert np.corrcoef(mean_per_nucleus(truth, dab_od(rgb)), dab)[0, 1] > 0.995


def test_size_limits_are_inclusive_and_leave_no_gap() -> None:
    labels = np.array([[1, 2, 2, 3, 3, 3, 0, 4, 4]], np.int32)
    np.testing.assert_array_equal(of_size(labels, 1.0, 2, 2), [[0, 1, 1, 0, 0, 0, 0, 2, 2]])
    np.testing.assert_array_equal(of_size(labels, 0.5, 0.5, 0.75), [[0, 1, 1, 2, 2, 2, 0, 3, 3]])


@pytest.mark.parametrize("mpp", [0.0, -1.0, float("nan"), 50.0])
def test_a_wrong_resolution_gets_one_line(mpp: float) -> None:
    with pytest.raises(UserError, match="give the image's mpp"):
        segment_watershed(np.zeros((8, 8, 3), np.uint8), mpp)


def test_wrong_labels_get_one_line() -> None:
    with pytest.raises(UserError, match="one size"):
        mean_per_nucleus(np.zeros((2, 2), np.int32), np.zeros((2, 3)))
    with pytest.raises(UserError, match="relabel"):
        mean_per_nucleus(np.array([[0, 2]], np.int32), np.zeros((1, 2)))


def test_stardist_not_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "stardist.models", None)
    with pytest.raises(UserError, match=r"extra 'stardist'"):
        segment_stardist(np.zeros((8, 8, 3), np.uint8), 0.5, weights=tmp_path)


class MadeUpStarDist:
    """Answers with two labels and a gap; remembers how it was asked."""

    asked: ClassVar[dict[str, Any]] = {}

    def __init__(self, config: None, *, name: str, basedir: str) -> None:
        self.asked.update(name=name, basedir=basedir)

    def predict_instances(self, image: np.ndarray, *, scale: float) -> tuple[np.ndarray, dict[str, Any]]:
        self.asked.update(scale=scale, dtype=image.dtype)
        labels = np.zeros(image.shape[:2], dtype=np.int64)
        labels[0, 0], labels[1, 1] = 2, 5
        return labels, {}


def test_stardist_is_asked_at_its_own_resolution(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    module = ModuleType("stardist.models")
    module.StarDist2D = MadeUpStarDist  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "stardist.models", module)
    rgb = generator(0, "rgb").integers(0, 256, (8, 8, 3)).astype(np.uint8)
    folder = tmp_path / "2D_versatile_he"
    with pytest.raises(UserError, match="unpack the model"):
        segment_stardist(rgb, 0.5, weights=folder)
    folder.mkdir()
    (folder / STARDIST_WEIGHTS).touch()
    labels = segment_stardist(rgb, 0.5, weights=folder)
    assert MadeUpStarDist.asked == {
        "name": "2D_versatile_he",
        "basedir": str(tmp_path),
        "scale": 2.0,
        "dtype": np.float32,
    }
    assert labels.dtype == np.int32
    assert (labels[0, 0], labels[1, 1], labels.max()) == (1, 2, 2)
