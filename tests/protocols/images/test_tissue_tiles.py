"""Tiles over tissue: grid, rules, draw, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from protocols.errors import UserError
from protocols.images.crops import CohortCrops
from protocols.images.tissue_tiles import tile_slide
from tests.cohorts import real_data

PINK, WHITE = (200, 120, 180), (245, 245, 245)


def slide(path: Path, tissue: slice, size: int = 400, mpp: float | None = 0.5) -> Path:
    """A white slide whose columns ``tissue`` are pink."""
    image = np.full((size, size, 3), WHITE, np.uint8)
    image[:, tissue] = PINK
    options = {"resolution": (1e4 / mpp, 1e4 / mpp), "resolutionunit": "CENTIMETER"} if mpp else {}
    tifffile.imwrite(path, image, tile=(128, 128), photometric="rgb", **options)
    return path


def tiles(path: Path, **changes: object):
    return tile_slide(path, **{"um": 50.0, "tissue": "saturation", "max_tiles": 100, "seed": 0} | changes)


@pytest.mark.parametrize("rule", ["saturation", "otsu"])
def test_tissue_columns_are_found(tmp_path: Path, rule: str) -> None:
    """50 µm are 100 px: a grid of 4 x 4, of which the two middle columns are pink."""
    found = tiles(slide(tmp_path / "s.tif", slice(100, 300)), tissue=rule)
    assert (found.seen, found.tissue, found.mpp) == (16, 8, pytest.approx(0.5))
    assert sorted(map(tuple, found.centres.tolist())) == [(x, y) for x in (150, 250) for y in (50, 150, 250, 350)]


def test_half_a_tile_of_tissue_counts(tmp_path: Path) -> None:
    assert tiles(slide(tmp_path / "s.tif", slice(0, 51))).tissue == 4
    with pytest.raises(UserError, match="none of 16 tiles is tissue"):
        tiles(slide(tmp_path / "t.tif", slice(0, 40)))


def test_everything(tmp_path: Path) -> None:
    assert tiles(slide(tmp_path / "s.tif", slice(0, 0)), tissue="all").tissue == 16


def test_the_draw_is_seeded_by_slide(tmp_path: Path) -> None:
    path = slide(tmp_path / "s.tif", slice(0, 400))
    first, again, other = (tiles(path, max_tiles=5, seed=seed).centres.tolist() for seed in (0, 0, 1))
    assert first == again != other
    assert len(first) == 5


def test_unknown_resolution_small_slides_and_rules(tmp_path: Path) -> None:
    path = slide(tmp_path / "s.tif", slice(0, 400), mpp=None)
    with pytest.raises(UserError, match="does not say its resolution"):
        tiles(path)
    assert tiles(path, mpp=0.25).seen == 4
    with pytest.raises(UserError, match=r"room for a tile of 500 µm"):
        tiles(path, mpp=0.5, um=500)
    with pytest.raises(UserError, match="saturation"):
        tiles(path, mpp=0.5, tissue="saturaton")


def test_the_pixels_of_a_tile_are_read_where_it_lies(tmp_path: Path) -> None:
    path = slide(tmp_path / "s.tif", slice(100, 300))
    found = tiles(path)
    crops = CohortCrops(np.zeros(8, np.int32), found.centres, [(path, found.mpp)], 50.0, 32)
    assert np.abs(crops.read(np.arange(8)).reshape(-1, 3).astype(int) - PINK).max() <= 1


@pytest.mark.realdata
def test_real_svs() -> None:
    path = real_data("svs") / "CMU-1-Small-Region.svs"
    found = tile_slide(path, um=128, tissue="saturation", max_tiles=4000, seed=0)
    assert (found.seen, found.mpp) == (88, pytest.approx(0.499))
    assert 20 < found.tissue < 60
    crops = CohortCrops(np.zeros(len(found.centres), np.int32), found.centres, [(path, found.mpp)], 128.0, 224)
    assert crops.read(np.arange(3)).std() > 10
