"""The streaming pyramid: against tifffile, OpenSlide and the whole image halved at once; memory, faults, bytes."""

from __future__ import annotations

import hashlib
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import openslide
import pytest
import tifffile

from protocols.errors import UserError
from protocols.images import pyramid_writer
from protocols.images.image import open_image
from protocols.images.pyramid_writer import halved, level_sizes, write_pyramid
from protocols.phantom import image_file
from protocols.seeds import generator


def smooth(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 // width, y * 255 // height, (x + y) * 255 // (height + width)], axis=2).astype(np.uint8)


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return generator(seed, "noise").integers(0, 256, (height, width, 3), dtype=np.uint8)


def cut(image: np.ndarray, *heights: int) -> Iterator[np.ndarray]:
    at = 0
    while at < len(image):
        for height in heights:
            yield image[at : at + height]
            at += height


def reference(image: np.ndarray, levels: int) -> list[np.ndarray]:
    """Every level by halving the whole image above it, as the phantom's writer does."""
    found = [image]
    while len(found) < levels:
        found.append(image_file.halved(found[-1]))
    return found


def write(path: Path, image: np.ndarray, *heights: int, **options):
    settings = {"mpp": 0.5, "tile": 64, "compression": "deflate"} | options
    return write_pyramid(path, cut(image, *(heights or (50,))), height=image.shape[0], width=image.shape[1], **settings)


@pytest.mark.parametrize("shape", [(300, 421), (64, 64), (65, 33), (257, 129), (1, 200), (511, 10)])
@pytest.mark.parametrize("heights", [(1, 7), (64,), (33, 100), (1000,)])
def test_levels_are_those_of_the_whole_image(tmp_path, shape, heights):
    image = noise(*shape)
    written = write(tmp_path / "i.ome.tif", image, *heights)
    expected = reference(image, len(written.level_sizes))
    with tifffile.TiffFile(tmp_path / "i.ome.tif") as tiff:
        levels = tiff.series[0].levels
        assert len(levels) == len(expected) == 1 + len(tiff.pages.first.subifds or ())
        for level, truth in zip(levels, expected, strict=True):
            np.testing.assert_array_equal(level.asarray(), truth)
    assert written.level_sizes == tuple((level.shape[1], level.shape[0]) for level in expected)


def test_halving_is_the_phantoms():
    image = noise(37, 51)
    np.testing.assert_array_equal(halved(image), image_file.halved(image))


def test_level_sizes():
    assert level_sizes(1000, 300, 256) == [(1000, 300), (500, 150), (250, 75)]
    assert level_sizes(100, 100, 256) == [(100, 100)]
    assert level_sizes(1000, 1, 256) == [(1000, 1)]
    assert level_sizes(1000, 300, 256, levels=2) == [(1000, 300), (500, 150)]


@pytest.mark.parametrize("compression", ["jpeg", "deflate"])
def test_it_is_ome_tiff_with_physical_sizes(tmp_path, compression):
    image = smooth(300, 421)
    path = tmp_path / "i.ome.tif"
    written = write(path, image, compression=compression, mpp=0.2521, name='a "slide" & more')
    with tifffile.TiffFile(path) as tiff:
        assert tiff.is_ome
        assert not tiff.is_bigtiff
        assert len(tiff.series) == 1
        assert [level.shape[:2] for level in tiff.series[0].levels] == [(300, 421), (150, 210), (75, 105), (37, 52)]
        root = ElementTree.fromstring(tiff.ome_metadata)
        for level, page in enumerate([tiff.pages.first, *tiff.pages.first.pages]):
            assert page.is_tiled
            top, bottom = page.tags["XResolution"].value
            assert 1e4 * bottom / top == pytest.approx(0.2521 * 2**level, rel=1e-6)
            assert page.compression.name == ("JPEG" if compression == "jpeg" else "ADOBE_DEFLATE")
    space = "{http://www.openmicroscopy.org/Schemas/OME/2016-06}"
    pixels = root.find(f"{space}Image/{space}Pixels")
    sizes = [pixels.get(key) for key in ("SizeX", "SizeY", "PhysicalSizeX", "PhysicalSizeY", "PhysicalSizeXUnit")]
    assert sizes == ["421", "300", "0.2521", "0.2521", "µm"]
    assert root.find(f"{space}Image").get("Name") == 'a "slide" & more'
    assert root.get("UUID") == f"urn:uuid:{written.uuid}"
    assert written.bytes == path.stat().st_size
    with open_image(path) as opened:
        assert opened.mpp == pytest.approx(0.2521)
        assert opened.level_sizes == written.level_sizes


@pytest.mark.parametrize("compression", ["jpeg", "deflate"])
def test_openslide_opens_it(tmp_path, compression):
    """As generic-tiff: OpenSlide does not follow SubIFDs, so it sees level 0; should it learn to, this test says so."""
    image = smooth(300, 421)
    write(tmp_path / "i.ome.tif", image, compression=compression)
    with openslide.OpenSlide(str(tmp_path / "i.ome.tif")) as slide:
        assert slide.level_dimensions == ((421, 300),)
        assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(0.5)
        pixels = np.asarray(slide.read_region((0, 0), 0, (421, 300)))[..., :3].astype(int)
    assert np.abs(pixels - image).max() <= (8 if compression == "jpeg" else 0)


def test_jpeg_keeps_the_colours_up_to_the_rim(tmp_path):
    """Tiles that stand over the rim repeat it: black or white outside would ring inwards."""
    image = np.full((70, 90, 3), (150, 90, 60), np.uint8)
    write(tmp_path / "i.ome.tif", image, compression="jpeg")
    with open_image(tmp_path / "i.ome.tif") as opened:
        assert np.abs(opened.read_region(0, 0, 90, 70).astype(int) - image).max() <= 2


def test_same_pixels_same_bytes(tmp_path):
    image = noise(200, 150)
    digests, uuids = set(), set()
    for name, heights in (("a", (50,)), ("b", (13, 64))):
        written = write(tmp_path / f"{name}.ome.tif", image, *heights, name="slide")
        digests.add(hashlib.sha256(written.path.read_bytes()).hexdigest())
        uuids.add(written.uuid)
    assert len(digests) == len(uuids) == 1
    other = image.copy()
    other[199, 149, 2] ^= 1
    assert write(tmp_path / "c.ome.tif", other, name="slide").uuid not in uuids
    assert write(tmp_path / "d.ome.tif", image, name="slide", compression="jpeg").uuid not in uuids
    assert b"20" + b"26:" not in (tmp_path / "a.ome.tif").read_bytes()[:2000]  # no DateTime tag


def test_bigtiff_when_the_file_could_pass_four_gigabytes(tmp_path, monkeypatch):
    image = noise(200, 150)
    assert not write(tmp_path / "small.ome.tif", image).bigtiff
    monkeypatch.setattr(pyramid_writer, "CLASSIC_BYTES", 100_000)
    assert write(tmp_path / "large.ome.tif", image).bigtiff
    with tifffile.TiffFile(tmp_path / "large.ome.tif") as tiff:
        assert tiff.is_bigtiff
        assert tiff.is_ome
        np.testing.assert_array_equal(tiff.asarray(), image)
    with openslide.OpenSlide(str(tmp_path / "large.ome.tif")) as slide:
        assert slide.dimensions == (150, 200)


def peak_bytes(path: Path, height: int) -> int:
    band = noise(64, 1024)
    tracemalloc.start()
    try:
        write_pyramid(path, (band for _ in range(height // 64)), width=1024, height=height, mpp=0.5, tile=128)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_height(tmp_path):
    peak_bytes(tmp_path / "warm.ome.tif", 256)
    low, high = peak_bytes(tmp_path / "a.ome.tif", 1024), peak_bytes(tmp_path / "b.ome.tif", 4096)
    assert high < 1.15 * low
    assert high < 4096 * 1024 * 3 / 4


@pytest.mark.parametrize("error", [KeyboardInterrupt, UserError("x", where="y", expected="z", remedy="w")])
def test_an_interruption_leaves_nothing_behind(tmp_path, error):
    def bands() -> Iterator[np.ndarray]:
        yield noise(100, 80)
        raise error

    old = tmp_path / "i.ome.tif"
    old.write_bytes(b"old")
    with pytest.raises((KeyboardInterrupt, UserError)):
        write_pyramid(old, bands(), width=80, height=300, mpp=0.5, tile=32)
    assert [file.name for file in tmp_path.iterdir()] == ["i.ome.tif"]
    assert old.read_bytes() == b"old"


@pytest.mark.parametrize(
    ("bands", "what"),
    [
        ([noise(50, 80)], "50 of 100 rows are missing"),
        ([noise(100, 81)], "a band"),
        ([noise(100, 80).astype(np.float32)], "a band"),
        ([noise(120, 80)], "20 rows too many"),
    ],
)
def test_wrong_bands_are_defects_of_the_caller(tmp_path, bands, what):
    with pytest.raises(ValueError, match=what):
        write_pyramid(tmp_path / "i.ome.tif", bands, width=80, height=100, mpp=0.5, tile=32)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "options", "what"),
    [
        ("i.tif", {}, r"ome\.tif"),
        ("i.ome.tif", {"tile": 100}, "multiple of 16"),
        ("i.ome.tif", {"mpp": 0.0}, "above 0"),
        ("i.ome.tif", {"compression": "jpg"}, "'jpeg'"),
        ("i.ome.tif", {"compression": "jpeg", "quality": 101}, "1 to 100"),
    ],
)
def test_what_a_user_gets_wrong(tmp_path, name, options, what):
    with pytest.raises(UserError, match=what):
        write(tmp_path / name, noise(64, 64), **options)
    assert not list(tmp_path.iterdir())
