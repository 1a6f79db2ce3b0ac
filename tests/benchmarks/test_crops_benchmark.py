"""Crops per second of one pass against one ``read_region`` per cell, on a slide as dense as a Xenium section.

Compared in one run on one machine, so that only the ratio counts. The baselines read a sample of the same cells,
since reading all of them would take minutes: in the table's order, and in spatial order, where OpenSlide's own
cache of recent tiles helps it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from protocols.images.crops import CropReader
from protocols.images.image import open_image

SIDE, TILE, CELLS, SAMPLE, CROP = 4096, 512, 20_000, 300, 224


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """4,096² pixels of blurred noise as JPEG tiles: 20,000 cells on it are one per 29 × 29 px (14 µm at 0.5 mpp)."""
    import cv2

    rng = np.random.default_rng(0)
    coarse = rng.integers(120, 256, (SIDE // 8, SIDE // 8, 3), dtype=np.uint8)
    path = tmp_path_factory.mktemp("crops") / "dense.tif"
    pixels = cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    tifffile.imwrite(path, pixels, tile=(TILE, TILE), compression="jpeg", photometric="rgb", metadata=None)
    return path


@pytest.fixture(scope="module")
def cells() -> np.ndarray:
    return np.random.default_rng(1).uniform(0, SIDE, (CELLS, 2))


def rate(function: Callable[[], int]) -> float:
    start = time.perf_counter()
    return function() / (time.perf_counter() - start)


def one_region_per_cell(slide: Path, cells: np.ndarray, backend: str) -> int:
    """What reading per cell costs: the region's tiles are decoded for every cell anew."""
    if backend == "openslide":
        import openslide

        with openslide.OpenSlide(str(slide)) as image:
            for x, y in cells:
                np.asarray(image.read_region((int(x) - CROP // 2, int(y) - CROP // 2), 0, (CROP, CROP)).convert("RGB"))
    else:
        with open_image(slide) as image:
            for x, y in cells:
                image.read_region(int(x) - CROP // 2, int(y) - CROP // 2, CROP, CROP)
    return len(cells)


def one_pass(slide: Path, cells: np.ndarray) -> int:
    with open_image(slide) as image:
        reader = CropReader(image, CROP * 0.5, CROP, mpp=0.5)
        return sum(len(places) for places, _ in reader.batches(cells, 256))


@pytest.mark.slow
@pytest.mark.benchmark(group="crops")
def test_one_pass_is_ten_times_faster_than_one_region_per_cell(benchmark, slide, cells):
    openslide = rate(lambda: one_region_per_cell(slide, cells[:SAMPLE], "openslide"))
    per_cell = rate(lambda: one_region_per_cell(slide, cells[:SAMPLE], "tifffile"))
    row_by_row = cells[np.lexsort((cells[:, 0], cells[:, 1] // CROP))][:SAMPLE]
    cached = rate(lambda: one_region_per_cell(slide, row_by_row, "openslide"))
    done = benchmark.pedantic(one_pass, (slide, cells), rounds=1, iterations=1)
    ours = rate(lambda: one_pass(slide, cells))
    assert done == CELLS
    benchmark.extra_info.update(
        crops_per_second=round(ours),
        openslide_regions_per_second=round(openslide),
        openslide_in_spatial_order=round(cached),
        tifffile_regions_per_second=round(per_cell),
        ratio_to_openslide=round(ours / openslide, 1),
        ratio_to_openslide_in_spatial_order=round(ours / cached, 1),
        ratio_to_tifffile=round(ours / per_cell, 1),
    )
    assert ours >= 10 * openslide
    assert ours >= 10 * per_cell
    assert ours >= 10 * cached
