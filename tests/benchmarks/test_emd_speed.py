"""Speed of the comparison of maps, as ratios measured in one run: Earth Mover's Distance, and the null of maps.

Figures stand in ``extra_info`` of the benchmark's JSON.
"""

from __future__ import annotations

from collections.abc import Callable
from time import process_time

import numpy as np
from pytest_benchmark.fixture import BenchmarkFixture
from scipy.ndimage import gaussian_filter

from protocols.metrics.earth_movers import earth_movers_distance, earth_movers_of_genes
from protocols.metrics.map_nulls import beyond_trend
from protocols.metrics.spatial_maps import TileGrid, percentile_scores, ssim_of_maps
from protocols.seeds import generator

GENES, SLIDES, CORES = 500, 18, 2


def seconds(work: Callable[[], object]) -> float:
    """Processor seconds: a busy machine must not decide the ratio."""
    start = process_time()
    work()
    return process_time() - start


def maps(name: str, grid: TileGrid, genes: int, sigma: float = 2.0) -> np.ndarray:
    noise = generator(0, "map", name).standard_normal((genes, *grid.shape))
    return percentile_scores(gaussian_filter(noise, (0, sigma, sigma))[:, grid.row, grid.column].T)


def square(side: int) -> TileGrid:
    row, column = np.indices((side, side)).reshape(2, -1)
    return TileGrid(row, column)


def disc(side: int) -> TileGrid:
    y, x = np.indices((side, side)) - (side - 1) / 2
    row, column = np.nonzero(x * x + y * y <= side * side / 4)
    return TileGrid(row, column)


def test_exact_distance_against_opencv(benchmark: BenchmarkFixture) -> None:
    grid = square(25)
    predicted, truth = (maps(name, grid, 4) for name in ("predicted", "truth"))
    earth_movers_of_genes(predicted[:, :1], truth[:, :1], grid)  # imports are not timed
    benchmark.pedantic(earth_movers_of_genes, (predicted, truth, grid), rounds=3)
    mine = min(seconds(lambda: earth_movers_of_genes(predicted, truth, grid)) for _ in range(3)) / 4
    one = [grid.to_grid(side[:, 0]) for side in (predicted, truth)]
    earth_movers_distance(np.eye(3), np.ones((3, 3)), np.ones((3, 3), dtype=bool), solver="cv2")
    theirs = min(seconds(lambda: earth_movers_distance(*one, grid.tissue, solver="cv2")) for _ in range(2))
    benchmark.extra_info |= {"seconds_a_map": mine, "opencv_seconds": theirs, "times_faster": theirs / mine}
    assert theirs / mine >= 10


def test_the_largest_section(benchmark: BenchmarkFixture) -> None:
    """46 x 46 tiles without any background: what a map costs at most, and SSIM beside it."""
    grid = square(46)
    predicted, truth = (maps(name, grid, 4) for name in ("predicted", "truth"))
    earth_movers_of_genes(predicted[:9, :1], truth[:9, :1], TileGrid(grid.row[:9], grid.column[:9]))
    taken = seconds(lambda: benchmark.pedantic(earth_movers_of_genes, (predicted, truth, grid), rounds=1)) / 4
    beside = seconds(lambda: ssim_of_maps(predicted, truth, grid)) / 4
    benchmark.extra_info |= {
        "seconds_a_map": taken,
        "minutes_if_all_18_slides_were_so": taken * GENES * SLIDES / CORES / 60,
        "ssim_seconds_a_map": beside,
    }
    assert taken < 2


def test_a_study_takes_minutes(benchmark: BenchmarkFixture) -> None:
    """Round sections 24 to 46 tiles wide, three genes each, extrapolated to all genes and slides on two cores."""
    grids = [disc(side) for side in (24, 28, 33, 37, 42, 46)]
    sections = [(*(maps(name, grid, 3) for name in ("predicted", "truth")), grid) for grid in grids]
    earth_movers_of_genes(sections[0][0][:, :1], sections[0][1][:, :1], grids[0])

    def study() -> None:
        for section in sections:
            earth_movers_of_genes(*section)

    taken = seconds(lambda: benchmark.pedantic(study, rounds=1)) / (3 * len(sections))
    minutes = taken * GENES * SLIDES / CORES / 60
    benchmark.extra_info |= {"seconds_a_map": taken, "minutes_500_genes_18_slides_2_cores": minutes}
    assert minutes < 15


def test_beyond_the_trend_costs_little_beside_the_distances(benchmark: BenchmarkFixture) -> None:
    """All genes of the largest section at once: its eigenvectors, and 999 draws of every gene."""
    grid = square(46)
    predicted, truth = (maps(name, grid, GENES) for name in ("predicted", "truth"))
    taken = seconds(lambda: benchmark.pedantic(beyond_trend, (predicted, truth, grid), {"seed": 0}, rounds=1))
    distances = seconds(lambda: earth_movers_of_genes(predicted[:, :4], truth[:, :4], grid)) / 4 * GENES
    benchmark.extra_info |= {"seconds": taken, "share_of_the_distances": taken / distances}
    assert taken / distances < 0.2
