from __future__ import annotations

import tracemalloc
from collections import Counter

import cv2
import numpy as np
import pytest
import tifffile

from protocols.errors import UserError
from protocols.images.crop_reader import choose_level
from protocols.images.crops import CohortCrops, CropReader
from protocols.images.image import open_image
from tests.protocols.readers.bundles import picture, write_ome

PIXELS = picture(400, 300)


@pytest.fixture
def image(tmp_path):
    with open_image(write_ome(tmp_path / "i.ome.tif", PIXELS, mpp=0.5, levels=3)) as opened:
        yield opened


def centres(number, seed=0, low=(-20, -20), high=(420, 320)):
    return np.random.default_rng(seed).uniform(low, high, (number, 2))


def count_decodes(image, monkeypatch):
    decoded = Counter()
    for index, level in enumerate(image.levels):

        def decode(row, column, level=level, index=index, original=level.decode):
            decoded[index, row, column] += 1
            return original(row, column)

        monkeypatch.setattr(level, "decode", decode)
    return decoded


def reference(xy, side, pixels, fill=255):
    """One crop by plain indexing of a padded picture."""
    margin = 200
    padded = np.pad(PIXELS, ((margin, margin), (margin, margin), (0, 0)), constant_values=fill)
    left, top = (int(np.floor(v - side / 2 + 0.5)) + margin for v in xy)
    crop = padded[top : top + side, left : left + side]
    how = cv2.INTER_AREA if side > pixels else cv2.INTER_LINEAR
    return crop if side == pixels else cv2.resize(crop, (pixels, pixels), interpolation=how)


def test_a_golden_crop(image):
    # 8 µm at 0.5 µm per px = 16 px; centre (100, 60) → columns 92…107, rows 52…67; red is x, green is y.
    (crop,) = CropReader(image, 8, 16).read(np.array([[100.0, 60.0]]))
    assert crop[0, 0, :2].tolist() == [92, 52]
    assert crop[15, 15, :2].tolist() == [107, 67]
    np.testing.assert_array_equal(crop, PIXELS[52:68, 92:108])


@pytest.mark.parametrize(("um", "pixels"), [(16, 32), (20, 32), (14, 32), (15.5, 31), (150, 300)])
@pytest.mark.parametrize("fill", [255, 0])
def test_crops_equal_plain_indexing_inside_and_over_the_border(image, um, pixels, fill):
    xy = centres(60)
    crops = CropReader(image, um, pixels, fill=fill).read(xy)
    for crop, centre in zip(crops, xy, strict=True):
        np.testing.assert_array_equal(crop, reference(centre, round(um / 0.5), pixels, fill))


def test_the_level_just_finer_than_needed_is_used(image):
    assert choose_level(image, 64, 64) == 0
    assert choose_level(image, 100, 64) == 0
    assert choose_level(image, 128, 64) == 1
    assert choose_level(image, 255, 64) == 2  # 63.75 px: within the slack for rounded level sizes
    assert choose_level(image, 1000, 64) == 2
    (crop,) = CropReader(image, 32, 32).read(np.array([[100.0, 60.0]]))
    np.testing.assert_array_equal(crop, PIXELS[::2, ::2][14:46, 34:66])


def test_order_and_batch_size_do_not_change_a_pixel(image):
    xy, reader = centres(200), CropReader(image, 24, 40)
    expected = reader.read(xy)
    shuffled = np.random.default_rng(1).permutation(200)
    np.testing.assert_array_equal(reader.read(xy[shuffled]), expected[shuffled])
    for size in (1, 7, 200, 1000):
        seen = []
        for places, crops in reader.batches(xy, size):
            np.testing.assert_array_equal(crops, expected[places])
            assert len(places) == min(size, 200 - len(seen))
            seen += places.tolist()
        assert sorted(seen) == list(range(200))


@pytest.mark.parametrize("side_um", [5, 16, 60])
def test_each_tile_is_decoded_at_most_once_a_pass(image, monkeypatch, side_um):
    decoded = count_decodes(image, monkeypatch)
    reader = CropReader(image, side_um, int(side_um / 0.5))
    for _ in reader.batches(centres(3000), 64):
        pass
    assert len(decoded) == reader.level.rows * reader.level.columns
    assert set(decoded.values()) == {1}


def test_only_tiles_under_a_crop_are_decoded(image, monkeypatch):
    decoded = count_decodes(image, monkeypatch)
    CropReader(image, 8, 16).read(np.array([[32.0, 32.0], [196.0, 160.0]]))
    assert set(decoded) == {(0, 0, 0), (0, 2, 2), (0, 2, 3)}  # x 188…203 straddles 192; y 152…167 lies in row 2


def test_a_small_window_sweeps_in_stripes_and_changes_no_pixel(image, monkeypatch):
    xy = centres(500)
    expected = CropReader(image, 16, 32).read(xy)
    decoded = count_decodes(image, monkeypatch)
    narrow = CropReader(image, 16, 32, window_bytes=4 * 64 * 64 * 3)
    np.testing.assert_array_equal(narrow.read(xy), expected)
    assert max(decoded.values()) <= 2  # border tiles of neighbouring stripes


@pytest.mark.parametrize("options", [{"tile": None, "rowsperstrip": 16}, {"tile": None, "compression": None}])
def test_strips_and_bands_serve_the_same_crops_once_decoded(tmp_path, monkeypatch, options):
    path = tmp_path / "i.tif"
    tifffile.imwrite(path, PIXELS, photometric="rgb", **({"compression": "zlib"} | options))
    with open_image(path) as image:
        decoded = count_decodes(image, monkeypatch)
        xy = centres(300)
        crops = CropReader(image, 20, 40, mpp=0.5).read(xy)
    assert set(decoded.values()) == {1}
    for crop, centre in zip(crops, xy, strict=True):
        np.testing.assert_array_equal(crop, reference(centre, 40, 40))


def test_a_png_serves_the_same_crops(tmp_path):
    cv2.imwrite(str(tmp_path / "i.png"), PIXELS[:, :, ::-1])
    with open_image(tmp_path / "i.png") as image:
        (crop,) = CropReader(image, 20, 40, mpp=0.5).read(np.array([[5.0, 5.0]]))
    np.testing.assert_array_equal(crop, reference((5.0, 5.0), 40, 40))


def peak_bytes(reader, xy):
    tracemalloc.start()
    for _ in reader.batches(xy, 16):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_memory_is_flat_in_the_number_of_cells_and_the_slides_height(tmp_path):
    def reader(height):
        path = tmp_path / f"{height}.tif"
        tifffile.imwrite(
            path, np.zeros((height, 512, 3), np.uint8), photometric="rgb", tile=(64, 64), compression="zlib"
        )
        return CropReader(open_image(path), 32, 64, mpp=0.5)

    def cells(number, height):
        return np.random.default_rng(0).uniform(0, (512, height), (number, 2))

    short, tall = reader(512), reader(4096)
    few, many = peak_bytes(short, cells(500, 512)), peak_bytes(short, cells(4000, 512))
    high = peak_bytes(tall, cells(4000, 4096))
    decoded_whole = 4096 * 512 * 3
    index = 4000 * 400  # the plan of the pass is a few numbers a cell; pixels are what must not grow
    assert many < few + index
    assert high < few + index < decoded_whole


def test_mpp_must_be_known_and_centres_finite(tmp_path):
    with open_image(write_ome(tmp_path / "i.ome.tif", PIXELS, mpp=None)) as image:
        with pytest.raises(UserError, match="mpp"):
            CropReader(image, 8, 16)
        with pytest.raises(UserError, match="not finite"):
            CropReader(image, 8, 16, mpp=0.5).read(np.array([[np.nan, 1.0]]))
        assert CropReader(image, 8, 16, mpp=0.5).read(np.zeros((0, 2))).shape == (0, 16, 16, 3)


@pytest.fixture
def cohort(tmp_path):
    images, slide, xy = [], [], []
    for index in range(4):
        path = write_ome(tmp_path / f"{index}.ome.tif", picture(200, 160, seed=index), mpp=0.5)
        images.append((path, 0.5))
        slide += [index] * 30
        xy.append(centres(30, seed=index, low=(0, 0), high=(200, 160)))
    shuffled = np.random.default_rng(5).permutation(120)
    return np.array(slide)[shuffled], np.concatenate(xy)[shuffled], images


def test_cohort_crops_come_from_their_own_slide(cohort):
    slide, xy, images = cohort
    source = CohortCrops(slide, xy, images, 16.0, 32, max_open=2)
    rows = np.random.default_rng(0).integers(0, 120, 50)
    crops = source.read(rows)
    for row, crop in zip(rows, crops, strict=True):
        with open_image(images[slide[row]][0]) as image:
            np.testing.assert_array_equal(crop, CropReader(image, 16.0, 32).read(xy[row][None])[0])


def test_cohort_batches_are_full_and_hold_every_row_once(cohort):
    slide, xy, images = cohort
    source = CohortCrops(slide, xy, images, 16.0, 32, max_open=2)
    rows = np.arange(119, 9, -1)
    expected = source.read(rows)
    batches = list(source.batches(rows, 32))
    assert [len(places) for places, _ in batches] == [32, 32, 32, 14]
    assert sorted(np.concatenate([places for places, _ in batches]).tolist()) == list(range(110))
    for places, crops in batches:
        np.testing.assert_array_equal(crops, expected[places])


def test_few_slides_stay_open_and_recent_tiles_are_kept(cohort, monkeypatch):
    slide, xy, images = cohort
    opened = []
    monkeypatch.setattr("protocols.images.crops.open_image", lambda path: opened.append(open_image(path)) or opened[-1])
    source = CohortCrops(slide, xy, images, 16.0, 32, max_open=4)
    source.read(np.arange(120))
    assert len(opened) == 4
    decoded = [count_decodes(image, monkeypatch) for image in opened]
    source.read(np.arange(120))
    assert len(opened) == 4
    assert not any(decoded)  # everything was still in memory
    few = CohortCrops(slide, xy, images, 16.0, 32, max_open=1)
    few.read(np.arange(120))
    assert len(few._open) == 1


def test_recent_tiles_respect_their_budget(cohort):
    slide, xy, images = cohort
    source = CohortCrops(slide, xy, images, 16.0, 32, tile_bytes=3 * 64 * 64 * 3)
    source.read(np.arange(120))
    assert source._tiles._held <= 3 * 64 * 64 * 3
    source.close()
    assert source._tiles._held == 0


def test_rows_without_a_slide_are_refused(cohort):
    slide, xy, images = cohort
    with pytest.raises(UserError, match="known slide"):
        CohortCrops(slide + 1, xy, images, 16.0, 32)
