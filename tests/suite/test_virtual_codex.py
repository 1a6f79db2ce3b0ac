"""Every marker of a whole slide: each pixel is its tile's answer, whatever the slide's size, in a file others read."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import h5py
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from protocols.contract import FloatArray, Inputs, Settings
from protocols.errors import UserError
from suite.tools import virtual_codex
from suite.tools.marker_maps import growing_maps, write_maps
from suite.tools.virtual_codex import Asked, CodexReport, draw_codex

TILE, COLUMNS, ROWS = 32, 7, 5
UM, MPP = 16.0, 0.5
MARKERS = ("Red", 'CD8 < & "b"', "Place")
ASKED = Asked(MARKERS, um=UM, pixels=TILE, settings=Settings())


class Looks:
    """Answers what can be computed without it: means of colours of the tile, and the tile's place."""

    def predict(self, test: Inputs) -> FloatArray:
        crops = test.crops().astype(np.float64)
        means = crops.mean(axis=(1, 2)) / 255
        return np.stack([means[:, 0], means[:, 1], test.xy_um[:, 0] + 1000 * test.xy_um[:, 1]], axis=1).astype(
            np.float32
        )


def slide_pixels(rows: int = ROWS, columns: int = COLUMNS) -> NDArray[np.uint8]:
    """Tissue of changing colour, one column of tiles of glass, and a rim that is no whole tile."""
    rng = np.random.default_rng(0)
    image = rng.integers(40, 220, (rows * TILE + 9, columns * TILE + 5, 3), dtype=np.uint8)
    image[..., 1] //= 3
    image[:, 2 * TILE : 3 * TILE] = 255
    return image


def write_slide(path: Path, image: NDArray[np.uint8], mpp: float | None = MPP) -> Path:
    said: Any = {} if mpp is None else {"resolution": (1e4 / mpp, 1e4 / mpp), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(path, image, photometric="rgb", tile=(64, 64), compression="zlib", metadata=None, **said)
    return path


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    return write_slide(tmp_path / "slide.tif", slide_pixels())


def drawn(slide: Path, out: Path, **options: object) -> CodexReport:
    return draw_codex(slide, Looks(), out, ASKED, **options)  # type: ignore[arg-type]


def test_each_pixel_is_the_answer_for_its_tile(slide: Path, tmp_path: Path) -> None:
    report = drawn(slide, tmp_path / "x.ome.tif")
    maps = tifffile.imread(tmp_path / "x.ome.tif")
    assert maps.shape == (4, ROWS, COLUMNS)
    assert maps.dtype == np.float32
    image = slide_pixels()
    for row in range(ROWS):
        for column in range(COLUMNS):
            tile = image[row * TILE : (row + 1) * TILE, column * TILE : (column + 1) * TILE].astype(np.float64)
            if column == 2:
                assert maps[:, row, column].tolist() == [0, 0, 0, 0]
                continue
            centre = ((column + 0.5) * UM, (row + 0.5) * UM)
            expected = [tile[..., 0].mean() / 255, tile[..., 1].mean() / 255, centre[0] + 1000 * centre[1], 1]
            assert maps[:, row, column] == pytest.approx(expected, rel=1e-5)
    assert (report.rows, report.columns, report.tiles, report.glass) == (ROWS, COLUMNS, 30, 5)
    assert report.outside == 30, "the third marker's values are no share"


def test_a_stranger_reads_names_size_and_levels(slide: Path, tmp_path: Path) -> None:
    drawn(slide, tmp_path / "x.ome.tif")
    with tifffile.TiffFile(tmp_path / "x.ome.tif") as file:
        assert file.is_ome
        series = file.series[0]
        assert (series.axes, series.shape) == ("CYX", (4, ROWS, COLUMNS))
        root = ElementTree.fromstring(file.ome_metadata or "")
    space = {"o": "http://www.openmicroscopy.org/Schemas/OME/2016-06"}
    pixels = root.find(".//o:Pixels", space)
    assert pixels is not None
    assert [channel.get("Name") for channel in pixels.findall("o:Channel", space)] == [*MARKERS, "tissue"]
    assert (pixels.get("PhysicalSizeX"), pixels.get("PhysicalSizeXUnit"), pixels.get("Type")) == ("16.0", "µm", "float")


def test_the_same_slide_gives_the_same_bytes(slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn(slide, tmp_path / "one.ome.tif")
    monkeypatch.setattr(virtual_codex, "TILES_AT_ONCE", 4)
    (tmp_path / "b").mkdir()
    drawn(slide, tmp_path / "b/one.ome.tif")
    assert (tmp_path / "one.ome.tif").read_bytes() == (tmp_path / "b/one.ome.tif").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "one.ome.tif", "slide.tif"], "nothing is left"


def test_the_file_that_no_released_script_writes(slide: Path, tmp_path: Path) -> None:
    drawn(slide, tmp_path / "x.ome.tif", predictions=tmp_path / "x.h5")
    maps = tifffile.imread(tmp_path / "x.ome.tif")
    with h5py.File(tmp_path / "x.h5") as file:
        values, corners, names = file["codex_prediction"][:], file["coords"][:], list(file.attrs["markers"])
    assert values.shape == (30, 3)
    assert names == list(MARKERS)
    assert corners[0].tolist() == [0, 0]
    for value, (x, y) in zip(values, corners, strict=True):
        assert value.tolist() == maps[:3, y // TILE, x // TILE].tolist()


def test_lower_levels_are_means_over_tissue(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    values = rng.random((2, 300, 514), dtype=np.float32)
    values[1] = rng.random((300, 514)) < 0.7
    values[0] *= values[1]
    with growing_maps(tmp_path / "x.ome.tif", 2, 300, 514) as planes:
        planes[:] = values
        write_maps(tmp_path / "x.ome.tif", planes, ["A", "tissue"], um=56.0)
    with tifffile.TiffFile(tmp_path / "x.ome.tif") as file:
        levels = [level.asarray() for level in file.series[0].levels]
    assert [level.shape for level in levels] == [(2, 300, 514), (2, 150, 257), (2, 75, 128)]
    assert np.array_equal(levels[0], values)
    for y, x in ((0, 0), (10, 200), (149, 256)):
        block, tissue = values[:, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2]
        expected = block[tissue > 0].mean() if tissue.any() else 0.0
        assert levels[1][0, y, x] == pytest.approx(expected, rel=1e-6)
        assert levels[1][1, y, x] == float(tissue.any())


def test_no_resolution_is_guessed(tmp_path: Path) -> None:
    """HEX's scripts fall back to 40x in one place and to 20x in another."""
    slide = write_slide(tmp_path / "slide.tif", slide_pixels(), mpp=None)
    with pytest.raises(UserError, match="does not say its resolution"):
        drawn(slide, tmp_path / "x.ome.tif")
    assert not (tmp_path / "x.ome.tif").exists()
    assert drawn(slide, tmp_path / "x.ome.tif", mpp=MPP).tiles == 30


def test_a_wrong_name_and_a_wrong_answer_leave_nothing(slide: Path, tmp_path: Path) -> None:
    class Wrong:
        def predict(self, test: Inputs) -> FloatArray:
            return np.full((len(test), 3), np.nan, dtype=np.float32)

    with pytest.raises(UserError, match=r"expected a name ending in \.ome\.tif"):
        drawn(slide, tmp_path / "x.tif")
    with pytest.raises(UserError, match="NaN or infinity"):
        draw_codex(slide, Wrong(), tmp_path / "x.ome.tif", ASKED)
    assert [path.name for path in tmp_path.iterdir()] == ["slide.tif"]


def test_memory_does_not_follow_the_slide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds small enough for a small slide to reach them; the larger one is four times as tall."""
    monkeypatch.setattr(virtual_codex, "TILES_AT_ONCE", 128)
    monkeypatch.setattr(virtual_codex, "DECODED_BYTES", 1 << 20)
    peaks = []
    for times in (8, 32):
        slide = write_slide(tmp_path / f"{times}.tif", slide_pixels(rows=times * ROWS, columns=24))
        drawn(slide, tmp_path / "warm.ome.tif")
        tracemalloc.start()
        drawn(slide, tmp_path / f"{times}.ome.tif")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]
