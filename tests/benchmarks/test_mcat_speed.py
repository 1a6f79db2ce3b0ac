"""Training MCAT: padded batches against patients one by one, and bags of 20,000 tiles with bounded memory."""

from __future__ import annotations

import resource
from dataclasses import replace
from pathlib import Path
from time import process_time

import numpy as np
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from baselines.networks.survival_blocks import FULL, MINI, SurvivalSizes
from baselines.networks.survival_networks import Mcat
from baselines.training.survival_training import BagCache, Patients, Targets, TrainingPlan, step

CPU = torch.device("cpu")
GENOMIC = (94, 334, 521, 468, 1496, 479)


def cohort(n: int, bag: object, genomic: tuple[int, ...]) -> tuple[Patients, Targets]:
    rng = np.random.default_rng(0)
    tables = tuple(rng.normal(size=(n, width)).astype(np.float32) for width in genomic)
    return Patients(n, tables, bag), Targets(rng.integers(0, 4, n), rng.random(n) < 0.5)  # type: ignore[arg-type]


def epoch(sizes: SurvivalSizes, patients: Patients, targets: Targets, width: int) -> None:
    torch.manual_seed(0)
    network = Mcat(sizes, width, tuple(part.shape[1] for part in patients.genomic))
    optimiser = torch.optim.Adam(network.parameters(), lr=sizes.learning_rate)
    for start in range(0, patients.n, sizes.accumulate):
        rows = np.arange(start, min(start + sizes.accumulate, patients.n))
        step(network, optimiser, patients, targets, rows, sizes, TrainingPlan(early=True), CPU)


def test_small_bags_in_padded_batches(benchmark: BenchmarkFixture) -> None:
    """128 patients with 9 to 16 tiles: one epoch, against the release's way of one patient at a time."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(1)
    bags = [rng.normal(size=(9 + k % 8, 96)).astype(np.float32) for k in range(128)]
    patients, targets = cohort(128, bags.__getitem__, (10,) * 6)
    benchmark.pedantic(epoch, (MINI, patients, targets, 96), rounds=3, warmup_rounds=1)
    start = process_time()
    epoch(replace(MINI, tiles_at_once=1), patients, targets, 96)
    single = process_time() - start
    start = process_time()
    epoch(MINI, patients, targets, 96)
    ratio = single / (process_time() - start)
    benchmark.extra_info["ratio"] = ratio
    print(f"one by one / padded batches: {ratio:.1f}")
    assert ratio > 3


def test_bags_of_twenty_thousand_tiles(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """An epoch of the full network over 12 patients of 20,000 x 1,024 tiles (82 MB each) read from disk."""
    torch.set_num_threads(2)
    n, tiles, width = 12, 20_000, 1024
    array = np.lib.format.open_memmap(tmp_path / "bags.npy", "w+", np.float32, (n, tiles, width))
    for row in range(n):
        array[row] = np.random.default_rng(row).normal(size=(tiles, width)).astype(np.float32)
    array.flush()
    del array
    bags = np.load(tmp_path / "bags.npy", mmap_mode="r")
    cache = BagCache(lambda row: np.array(bags[row]), limit=200 << 20)  # room for two bags of twelve
    patients, targets = cohort(n, cache, GENOMIC)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    benchmark.pedantic(epoch, (FULL, patients, targets, width), rounds=1)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    benchmark.extra_info["peak_growth_mib"] = grown
    print(f"peak memory grew by {grown:.0f} MiB over {n} bags of {tiles * width * 4 / 2**20:.0f} MiB")
    assert grown < 2500
