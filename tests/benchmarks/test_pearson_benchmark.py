"""Pearson per gene against one scipy call a gene, as ratios measured in one run.

scipy is timed on some of the genes and scaled to all (its cost per gene does not depend on the others). It gets each
gene as one contiguous float64 array, made before the clock starts: float64, because that is what is computed here
(given float32, scipy computes in float32), and contiguous, which flatters it, as no such copy of the whole fits the
memory that streaming needs. The ratios stand in ``extra_info`` of the benchmark's JSON.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from time import process_time

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from scipy.stats import pearsonr

from protocols.metrics.correlation import PearsonAccumulator, pearson_per_gene

CHUNK = 10_000


def seconds(work: Callable[[], object]) -> float:
    """Processor seconds: a busy machine must not decide the ratio."""
    start = process_time()
    work()
    return process_time() - start


def scipy_seconds(truth: np.ndarray, predicted: np.ndarray, genes: int) -> float:
    """Time of a loop over the columns given, scaled to ``genes``; the best of three."""
    truth, predicted = (np.ascontiguousarray(side.T, dtype=np.float64) for side in (truth, predicted))
    pearsonr(truth[0], predicted[0])
    pairs = list(zip(truth, predicted, strict=True))
    taken = min(seconds(lambda: [pearsonr(t, p) for t, p in pairs]) for _ in range(3))
    return taken * genes / len(truth)


def test_25_000_genes_of_1_000_samples(benchmark: BenchmarkFixture) -> None:
    samples, genes, timed = 1_000, 25_000, 400
    rng = np.random.default_rng(0)
    truth = rng.standard_normal((samples, genes), dtype=np.float32)
    predicted = truth + rng.standard_normal((samples, genes), dtype=np.float32)
    r = benchmark.pedantic(pearson_per_gene, (truth, predicted), rounds=3, warmup_rounds=1)
    mine = min(seconds(lambda: pearson_per_gene(truth, predicted)) for _ in range(3))
    theirs = scipy_seconds(truth[:, :timed], predicted[:, :timed], genes)
    expected = pearsonr(truth[:, 7].astype(np.float64), predicted[:, 7].astype(np.float64)).statistic
    assert r[7] == pytest.approx(expected, abs=1e-12)
    benchmark.extra_info |= {"seconds": mine, "scipy_seconds_scaled": theirs, "scipy_genes_timed": timed}
    benchmark.extra_info["times_faster_than_scipy"] = theirs / mine
    assert theirs / mine > 10


def cells(count: int, genes: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Chunks of made-up cells, one at a time."""
    rng = np.random.default_rng(0)
    for _ in range(count // CHUNK):
        truth = rng.random((CHUNK, genes), dtype=np.float32)
        yield truth, truth + rng.random((CHUNK, genes), dtype=np.float32)


def streamed_peak(count: int, genes: int) -> int:
    """Peak bytes held while ``count`` cells stream by, chunks included."""
    tracemalloc.start()
    accumulator = PearsonAccumulator(genes)
    for truth, predicted in cells(count, genes):
        accumulator.update(truth, predicted)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


@pytest.mark.slow
def test_a_million_cells_of_300_genes_streamed(benchmark: BenchmarkFixture) -> None:
    count, genes, timed = 1_000_000, 300, 3
    accumulator = PearsonAccumulator(genes)
    kept_truth, kept_predicted, mine = [], [], 0.0

    def stream() -> None:
        nonlocal mine
        for truth, predicted in cells(count, genes):
            mine += seconds(lambda t=truth, p=predicted: accumulator.update(t, p))  # making the cells is not timed
            kept_truth.append(truth[:, :timed].copy())
            kept_predicted.append(predicted[:, :timed].copy())

    benchmark.pedantic(stream, rounds=1)
    truth, predicted = np.concatenate(kept_truth), np.concatenate(kept_predicted)
    theirs = scipy_seconds(truth, predicted, genes)
    r, n = accumulator.result()
    assert n[0] == count
    expected = pearsonr(truth[:, 0].astype(np.float64), predicted[:, 0].astype(np.float64)).statistic
    assert r[0] == pytest.approx(expected, abs=1e-12)
    short, long = streamed_peak(2 * CHUNK, genes), streamed_peak(10 * CHUNK, genes)
    benchmark.extra_info |= {
        "update_seconds": mine,
        "scipy_seconds_scaled": theirs,
        "scipy_genes_timed": timed,
        "times_faster_than_scipy": theirs / mine,
        "peak_bytes_20_000_cells": short,
        "peak_bytes_100_000_cells": long,
    }
    assert long < 1.1 * short
    assert theirs / mine > 1.5
