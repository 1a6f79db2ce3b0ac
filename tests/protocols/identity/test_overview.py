from __future__ import annotations

import cv2
import numpy as np
import openslide
import pytest

from protocols.errors import UserError
from protocols.identity import overview as module
from protocols.identity.look_alike import find_look_alikes, fingerprint
from protocols.identity.overview import LONGEST, overview
from protocols.images.pyramid_writer import write_pyramid
from protocols.phantom.generate import generate
from tests.cohorts import real_data
from tests.protocols.identity.copies import jpeg, stain_shifted
from tests.protocols.readers.bundles import write_ome
from tests.suite.working_folder import TINY


def smooth(width: int, height: int) -> np.ndarray:
    """A picture whose every part differs, and that hardly changes by being averaged."""
    y, x = np.mgrid[:height, :width]
    return np.stack([255 * x / width, 255 * y / height, 128 + 100 * np.sin(x / 90)], axis=2).astype(np.uint8)


def test_an_image_in_the_wanted_resolution_is_copied(tmp_path):
    pixels = smooth(300, 200)
    np.testing.assert_array_equal(overview(write_ome(tmp_path / "a.ome.tif", pixels, mpp=2.0), 2.0), pixels)
    np.testing.assert_array_equal(overview(write_ome(tmp_path / "b.ome.tif", pixels, mpp=4.0), 2.0), pixels)
    np.testing.assert_array_equal(overview(write_ome(tmp_path / "c.ome.tif", pixels, mpp=None), 2.0), pixels)
    cv2.imwrite(str(tmp_path / "d.png"), pixels[:, :, ::-1])
    np.testing.assert_array_equal(overview(tmp_path / "d.png", 2.0), pixels)


def test_a_finer_image_is_averaged(tmp_path):
    pixels = smooth(512, 256)
    seen = overview(write_ome(tmp_path / "a.ome.tif", pixels, mpp=0.5), 2.0)
    assert seen is not None
    assert seen.shape == (64, 128, 3)
    means = pixels.reshape(64, 4, 128, 4, 3).mean(axis=(1, 3))
    assert np.abs(seen - means).max() <= 1


@pytest.mark.parametrize("mpp", [None, 0.25])
def test_a_long_image_is_made_to_fit(tmp_path, mpp):
    pixels = smooth(3000, 1200)
    seen = overview(write_ome(tmp_path / "a.ome.tif", pixels, mpp=mpp, tile=(256, 256)), 0.25)
    assert seen is not None
    assert seen.shape == (410, LONGEST, 3)
    expected = cv2.resize(pixels, (LONGEST, 410), interpolation=cv2.INTER_AREA)
    assert np.abs(seen.astype(int) - expected).max() <= 2


@pytest.mark.parametrize("area", [1, 10_000, 100_000])
def test_blocks_do_not_show_and_bound_what_is_held(tmp_path, monkeypatch, area):
    path = write_ome(tmp_path / "a.ome.tif", smooth(1500, 900), mpp=0.5)
    whole = overview(path, 1.7)
    asked: list[int] = []
    read = module.SlideImage.read_region

    def counted(self, x, y, w, h, level):
        asked.append(w * h)
        return read(self, x, y, w, h, level)

    monkeypatch.setattr(module.SlideImage, "read_region", counted)
    monkeypatch.setattr(module, "BLOCK_AREA", area)
    pieces = overview(path, 1.7)
    assert whole is not None
    assert pieces is not None
    assert pieces.shape == whole.shape
    assert np.abs(pieces.astype(int) - whole).max() <= 3
    assert len(asked) > 4
    assert max(asked) <= max(area, 64 * 64) * 1.2


def test_the_coarsest_level_that_is_as_fine_is_read(tmp_path, monkeypatch):
    written = write_pyramid(tmp_path / "p.ome.tif", [smooth(2048, 1024)], width=2048, height=1024, mpp=0.5, tile=128)
    assert len(written.level_sizes) > 3
    levels = set()
    read = module.SlideImage.read_region

    def noted(self, x, y, w, h, level):
        levels.add(level)
        return read(self, x, y, w, h, level)

    monkeypatch.setattr(module.SlideImage, "read_region", noted)
    seen = overview(written.path, 2.5)
    assert seen is not None
    assert seen.shape == (205, 410, 3)
    assert levels == {2}
    assert np.abs(seen.astype(int) - cv2.resize(smooth(2048, 1024), (410, 205), interpolation=cv2.INTER_AREA)).max() < 8


def test_what_is_too_small_has_none(tmp_path):
    path = write_ome(tmp_path / "a.ome.tif", smooth(300, 160), mpp=1.0)
    assert overview(path, 3.5) is None
    assert overview(path, 3.0) is not None
    with pytest.raises(UserError, match="image file is missing"):
        overview(tmp_path / "nothing.tif", 1.0)


def test_a_copied_phantom_slide_is_found_and_no_other(tmp_path):
    """Two slides of the phantom, and a re-stained, turned JPEG of one, in its own format."""
    generate(tmp_path / "data", TINY, seed=0)
    slides = sorted((tmp_path / "data").glob("xenium/*/*_he_image.ome.tif"))
    seen = [overview(path, 1.0) for path in slides]
    assert [image.shape for image in seen if image is not None] == [(160, 160, 3)] * 2
    assert seen[0] is not None
    copy = jpeg(stain_shifted(np.rot90(overview(slides[0], 0.5))))
    cv2.imwrite(str(tmp_path / "copy.png"), copy[:, :, ::-1])
    prints = [fingerprint(image) for image in (*seen, overview(tmp_path / "copy.png", 1.0)) if image is not None]
    found = find_look_alikes(prints, [0, 1, 2])
    assert [(one.first, one.second) for one in found] == [(0, 2)]


@pytest.mark.realdata
def test_a_real_slide_is_as_openslide_shows_it():
    path = real_data("svs") / "CMU-1-Small-Region.svs"
    seen = overview(path, 1.0)
    assert seen is not None
    with openslide.OpenSlide(str(path)) as slide:
        width, height = slide.dimensions
        shrink = max(1.0 / float(slide.properties["openslide.mpp-x"]), height / LONGEST)
        whole = np.asarray(slide.read_region((0, 0), 0, (width, height)).convert("RGB"))
    assert seen.shape == (round(height / shrink), round(width / shrink), 3)
    theirs = cv2.resize(whole, seen.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(seen.astype(int) - theirs).mean() < 1
    assert fingerprint(seen).recognisable
