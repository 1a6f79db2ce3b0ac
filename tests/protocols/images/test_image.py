from __future__ import annotations

import cv2
import numpy as np
import pytest
import tifffile

from protocols.errors import UserError
from protocols.images.image import open_image
from tests.protocols.readers.bundles import picture, truncate, write_ome

PIXELS = picture(230, 170)


def write(path, kind):
    if kind in {"png", "jpg"}:
        cv2.imwrite(str(path), PIXELS[:, :, ::-1])
        return path
    options = {
        "ome-tiled": {"tile": (64, 48)},
        "ome-strips": {"tile": None, "rowsperstrip": 20},
        "one-piece": {"tile": None, "compression": None},
        "one-strip": {"tile": None, "rowsperstrip": 170},
        "separate": {"tile": (64, 64), "planarconfig": "separate"},
    }[kind]
    pixels = np.moveaxis(PIXELS, 2, 0) if kind == "separate" else PIXELS
    tifffile.imwrite(path, pixels, photometric="rgb", **({"compression": "zlib"} | options))
    return path


@pytest.mark.parametrize("kind", ["ome-tiled", "ome-strips", "one-piece", "one-strip", "separate", "png"])
@pytest.mark.parametrize("box", [(0, 0, 230, 170), (50, 40, 100, 90), (63, 19, 2, 2), (229, 169, 1, 1)])
def test_regions_are_the_pictures_pixels(tmp_path, kind, box):
    x, y, w, h = box
    with open_image(write(tmp_path / ("i.png" if kind == "png" else "i.tif"), kind)) as image:
        assert (image.width, image.height) == (230, 170)
        np.testing.assert_array_equal(image.read_region(x, y, w, h), PIXELS[y : y + h, x : x + w])


def test_three_channel_pages_are_one_picture(tmp_path):
    tifffile.imwrite(
        tmp_path / "i.ome.tif", np.moveaxis(PIXELS, 2, 0), photometric="minisblack", metadata={"axes": "CYX"}
    )
    with open_image(tmp_path / "i.ome.tif") as image:
        np.testing.assert_array_equal(image.read_region(0, 0, 230, 170), PIXELS)


def test_an_alpha_channel_is_dropped(tmp_path):
    rgba = np.dstack([PIXELS, np.full(PIXELS.shape[:2], 255, np.uint8)])
    tifffile.imwrite(tmp_path / "i.tif", rgba, photometric="rgb", extrasamples=["unassalpha"], tile=(64, 64))
    with open_image(tmp_path / "i.tif") as image:
        np.testing.assert_array_equal(image.read_region(0, 0, 230, 170), PIXELS)


def test_jpeg_tiles_decode_close_to_the_picture(tmp_path):
    smooth = cv2.GaussianBlur(PIXELS, (0, 0), 8)
    path = write_ome(tmp_path / "i.ome.tif", smooth, compression="jpeg", compressionargs={"level": 95})
    with open_image(path) as image:
        difference = image.read_region(0, 0, 230, 170).astype(int) - smooth
    assert np.abs(difference).mean() < 3  # colours swapped or a wrong colour space would be off by tens


@pytest.mark.parametrize(("fill", "expected"), [(255, 255), (0, 0)])
def test_outside_the_image_is_filled(tmp_path, fill, expected):
    with open_image(write(tmp_path / "i.tif", "ome-tiled")) as image:
        region = image.read_region(-10, -5, 20, 15, fill=fill)
        assert (region[:5] == expected).all()
        assert (region[:, :10] == expected).all()
        np.testing.assert_array_equal(region[5:, 10:], PIXELS[:10, :10])
        assert (image.read_region(1000, 0, 4, 4, fill=fill) == expected).all()


def test_pyramid_levels_and_mpp_of_ome(tmp_path):
    path = write_ome(tmp_path / "i.ome.tif", PIXELS, mpp=0.2738, levels=3)
    with open_image(path) as image:
        assert image.level_sizes == ((230, 170), (115, 85), (58, 43))
        assert image.mpp == pytest.approx(0.2738)
        np.testing.assert_array_equal(image.read_region(3, 4, 20, 20, level=1), PIXELS[8:48:2, 6:46:2])


def test_levels_stored_as_further_pages_are_found(tmp_path):
    with tifffile.TiffWriter(tmp_path / "i.tif") as tiff:
        for step in (1, 2, 4):
            tiff.write(PIXELS[::step, ::step], tile=(64, 64), photometric="rgb", metadata=None)
    with open_image(tmp_path / "i.tif") as image:
        assert image.level_sizes == ((230, 170), (115, 85), (58, 43))


@pytest.mark.parametrize(("unit", "value", "mpp"), [("CENTIMETER", 20_000, 0.5), ("INCH", 72, None)])
def test_tiff_resolution_gives_mpp_only_where_it_can_be_a_scanner(tmp_path, unit, value, mpp):
    tifffile.imwrite(tmp_path / "i.tif", PIXELS, photometric="rgb", resolution=(value, value), resolutionunit=unit)
    with open_image(tmp_path / "i.tif") as image:
        assert image.mpp == mpp


def test_both_backends_see_the_same(tmp_path):
    path = tmp_path / "i.tif"
    tifffile.imwrite(path, PIXELS, photometric="rgb", tile=(64, 64), compression="zlib", metadata=None)
    with open_image(path, "tifffile") as a, open_image(path, "openslide") as b:
        assert a.level_sizes == b.level_sizes
        np.testing.assert_array_equal(a.read_region(-3, 30, 200, 150), b.read_region(-3, 30, 200, 150))


@pytest.mark.parametrize("kind", ["ome-tiled", "ome-strips", "one-piece", "png", "jpg"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.97])
def test_a_truncated_file_is_named_before_any_pixel_is_read(tmp_path, kind, share):
    path = write(tmp_path / ("i." + (kind if kind in {"png", "jpg"} else "tif")), kind)
    truncate(path, share)
    with pytest.raises(UserError, match=r"i\.(tif|png|jpg).*(truncated|no image)"):
        open_image(path)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_truncated_pyramid_is_named(tmp_path, share):
    path = write_ome(tmp_path / "i.ome.tif", PIXELS, levels=3)
    truncate(path, share)
    with pytest.raises(UserError, match="truncated"):
        open_image(path)


def test_a_damaged_tile_is_named_when_it_is_read(tmp_path):
    path = write(tmp_path / "i.tif", "ome-tiled")
    with tifffile.TiffFile(path) as tiff:
        offset, count = tiff.pages[0].dataoffsets[0], tiff.pages[0].databytecounts[0]
    data = bytearray(path.read_bytes())
    data[offset : offset + count] = bytes(count)
    path.write_bytes(bytes(data))
    with open_image(path) as image, pytest.raises(UserError, match="damaged"):
        image.read_region(0, 0, 10, 10)


@pytest.mark.parametrize(
    ("pixels", "photometric"), [(PIXELS.astype(np.uint16), "rgb"), (PIXELS[:, :, 0], "minisblack")]
)
def test_what_is_no_8_bit_rgb_is_refused(tmp_path, pixels, photometric):
    tifffile.imwrite(tmp_path / "i.tif", pixels, photometric=photometric)
    with pytest.raises(UserError, match="8-bit RGB"):
        open_image(tmp_path / "i.tif")


def test_missing_and_alien_files_are_named(tmp_path):
    with pytest.raises(UserError, match="missing"):
        open_image(tmp_path / "gone.tif")
    (tmp_path / "notes.docx").write_text("not an image")
    with pytest.raises(UserError, match="no image format"):
        open_image(tmp_path / "notes.docx")
