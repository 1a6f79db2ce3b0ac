"""Tile means of multi-channel OME-TIFFs, against means taken of the whole array by numpy."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import tifffile

from protocols.errors import UserError
from protocols.expression.cohort import SlideEntry
from protocols.images.channel_means import channel_means
from protocols.readers.readers import read_slide

from .bundles import picture, truncate, write_ome

NAMES = ["DAPI", "CD8", "Ki67"]
CODEX = np.random.default_rng(0).integers(0, 5000, (3, 160, 200)).astype(np.uint16)


def write_codex(path, pixels=CODEX, names=NAMES, **options):
    metadata = {"axes": "CYX"} | ({"Channel": {"Name": names}} if names else {})
    tifffile.imwrite(path, pixels, ome=True, metadata=metadata, photometric="minisblack", **options)
    return path


WAYS = {
    "tiles": {"tile": (64, 48), "compression": "zlib"},
    "strips": {"rowsperstrip": 7, "compression": "zlib"},
    "one piece": {},
    "separate planes": {"planarconfig": "separate", "tile": (32, 32)},
}


@pytest.mark.parametrize("way", WAYS)
def test_means_are_numpys_whatever_the_storage(tmp_path, way):
    path = write_codex(tmp_path / "c.ome.tif", **WAYS[way])
    found = channel_means(path, (20.0, 20.0), 10, 8)
    expected = CODEX.reshape(3, 8, 20, 10, 20).mean(axis=(2, 4)).transpose(1, 2, 0)
    np.testing.assert_allclose(found.means, expected, rtol=1e-12)
    assert (found.size, found.dtype) == ((200, 160), "uint16")
    # Planes of one page are samples of one channel in OME's words: it has no names for them.
    assert found.names == (("", "", "") if way == "separate planes" else tuple(NAMES))


def test_a_cell_of_broken_size_takes_the_pixels_whose_centre_lies_in_it(tmp_path):
    path = write_codex(tmp_path / "c.ome.tif", tile=(64, 48))
    found = channel_means(path, (12.5, 33.3), 15, 4)
    x, y = ((np.arange(200) + 0.5) // 12.5).astype(int), ((np.arange(160) + 0.5) // 33.3).astype(int)
    for row, column in ((0, 0), (3, 14), (2, 7)):
        expected = CODEX[:, y == row][:, :, x == column].mean(axis=(1, 2))
        np.testing.assert_allclose(found.means[row, column], expected, rtol=1e-12)


@pytest.fixture
def root(tmp_path):
    pixels = picture(200, 160)
    pixels[:, 100:] = 255  # glass to the right
    write_ome(tmp_path / "i.ome.tif", pixels, mpp=0.5)
    write_codex(tmp_path / "c.ome.tif", tile=(64, 64))
    return tmp_path


def read(root, **options):
    files = {"codex": "c.ome.tif", "image": "i.ome.tif"}
    return read_slide("multiplex_image", SlideEntry("s", "p", "colon", files, {"tile_um": "10"} | options), root)


def test_tiles_of_tissue_have_the_means_of_their_place(root):
    slide = read(root)
    assert (slide.unit, slide.mpp, slide.genes) == ("tile", 0.5, ("CD8", "Ki67"))
    assert len(slide.units) == 5 * 8  # 20 px tiles; the right half is glass
    place = slide.units["cell_id"].tolist().index("s_32")  # row 3, column 2 of 10
    assert slide.units.loc[place, ["x_px", "y_px"]].tolist() == [50, 70]
    expected = CODEX[1:, 60:80, 40:60].mean(axis=(1, 2))
    np.testing.assert_allclose(slide.intensities[place], expected, rtol=1e-6)
    assert any("uint16 channels over 40 of 80 tiles of 10 µm (saturation)" in note for note in slide.notes)
    assert any("left out: DAPI" in note for note in slide.notes)
    assert len(read(root, tissue="all").units) == 80
    assert read(root, markers="Ki67;DAPI").genes == ("Ki67", "DAPI")


def test_a_multiplex_image_of_half_the_resolution_fits_the_same_frame(root):
    whole = read(root)
    write_codex(root / "c.ome.tif", np.repeat(np.repeat(CODEX, 2, axis=1), 2, axis=2), tile=(64, 64))
    np.testing.assert_allclose(read(root).intensities, whole.intensities, rtol=1e-6)


def test_faults_are_named(root):
    with pytest.raises(UserError, match=r"0 channels are called 'CD88'.*did you mean 'CD8'"):
        read(root, markers="CD88")
    with pytest.raises(UserError, match="unknown tissue rule 'otzu'"):
        read(root, tissue="otzu")
    write_codex(root / "c.ome.tif", CODEX[:, :, :120], tile=(64, 64))
    with pytest.raises(UserError, match=r"120 × 160 px, and its H&E 200 × 160"):
        read(root)
    write_codex(root / "c.ome.tif", names=["CD8", "CD8", "DAPI"])
    with pytest.raises(UserError, match=r"occur more than once, e.g. 'CD8'"):
        read(root)
    write_codex(root / "c.ome.tif", names=["DAPI", "DNA1", "BG2"])
    with pytest.raises(UserError, match="expected a marker among them"):
        read(root)
    write_codex(root / "c.ome.tif", names=None)
    with pytest.raises(UserError, match="3 channels without names, 0 in the option"):
        read(root)
    assert read(root, markers="DAPI;CD8;Ki67").genes == ("DAPI", "CD8", "Ki67")
    write_codex(root / "c.ome.tif", tile=(64, 64), compression="zlib")
    truncate(root / "c.ome.tif", 0.4)
    with pytest.raises(UserError, match=r"c\.ome\.tif"):
        read(root)


MEASURE = """
import sys
from pathlib import Path
from protocols.images.channel_means import channel_means
import tifffile, zlib, imagecodecs

def peak():  # of this process alone; what getrusage says is that of whoever started it, where that was more
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])

before = peak()
found = channel_means(Path(sys.argv[1]), (64.0, 64.0), 64, 64)
assert found.means.shape == (64, 64, 12)
print(peak() - before)
"""


@pytest.mark.parametrize("way", ["tiles", "one piece"])
def test_memory_does_not_grow_with_the_image(tmp_path, way):
    """12 channels of 4,096 × 4,096 px of 16 bits are 403 MB; what is held is a tile or a band of rows."""
    options = {"tile": (512, 512), "compression": "zlib"} if way == "tiles" else {}
    plane = np.broadcast_to(np.uint16(7), (4096, 4096))
    with tifffile.TiffWriter(tmp_path / "c.ome.tif", ome=True) as tiff:
        planes = (np.ascontiguousarray(plane[top : top + 512, :512]) for _ in range(12) for top in [0] * 64)
        data = planes if way == "tiles" else (np.ascontiguousarray(plane) for _ in range(12))
        tiff.write(data, shape=(12, 4096, 4096), dtype=np.uint16, metadata={"axes": "CYX"},
                   photometric="minisblack", **options)  # fmt: skip
    run = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path / "c.ome.tif")], capture_output=True, text=True, check=True
    )
    kilobytes = int(run.stdout)
    assert kilobytes < 40_000
