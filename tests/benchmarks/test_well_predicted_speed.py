"""All criteria for 25,000 genes x 1,000 patients against one gene at a time, as ratios measured in one run.

The loop does for each gene what the released evaluation does: three scipy correlations, the test of dependent
correlations, two errors; then one correction. It is timed on some genes and scaled to all (its cost per gene does not
depend on the others); it gets each gene as a contiguous float64 array, made before the clock starts. The ratios stand
in ``extra_info`` of the benchmark's JSON.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from time import process_time

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from scipy import stats

from protocols.metrics.well_predicted import CRITERIA, WellPredicted, agree, judge, well_predicted

PATIENTS, GENES, TIMED = 1_000, 25_000, 200


def seconds(work: Callable[[], object]) -> float:
    """Processor seconds: a busy machine must not decide the ratio."""
    start = process_time()
    work()
    return process_time() - start


def one_gene(t: np.ndarray, p: np.ndarray, u: np.ndarray) -> tuple[float, ...]:
    """One gene's row for Williams' t, as SEQUOIA's released evaluation fills it."""
    (r1, p1), (r2, _), (r12, _) = stats.pearsonr(t, p), stats.pearsonr(t, u), stats.pearsonr(p, u)
    n = len(t)
    determinant = 1 - r1**2 - r2**2 - r12**2 + 2 * r1 * r2 * r12
    below = 2 * determinant * (n - 1) / (n - 3) + ((r1 + r2) / 2) ** 2 * (1 - r12) ** 3
    x = (r1 - r2) * np.sqrt((n - 1) * (1 + r12) / below)
    return r1, p1, r2, float(stats.t.sf(x, n - 3)), np.sqrt(np.mean((t - p) ** 2)), np.sqrt(np.mean((t - u) ** 2))


def test_all_criteria_for_25_000_genes_of_1_000_patients(benchmark: BenchmarkFixture) -> None:
    rng = np.random.default_rng(0)
    truth, predicted, untrained = (rng.standard_normal((PATIENTS, GENES), dtype=np.float32) for _ in range(3))
    predicted += 0.1 * truth

    def all_criteria() -> dict[str, WellPredicted]:
        agreement = agree(truth, predicted, untrained)
        return {name: judge(agreement, criteria) for name, criteria in CRITERIA.items()}

    found = benchmark.pedantic(all_criteria, rounds=1, warmup_rounds=1)
    mine = min(seconds(all_criteria) for _ in range(3))
    rows = [np.ascontiguousarray(m[:, :TIMED].T, dtype=np.float64) for m in (truth, predicted, untrained)]
    genes = list(zip(*rows, strict=True))
    loop = min(seconds(lambda: [one_gene(*gene) for gene in genes]) for _ in range(3)) * GENES / TIMED
    expected = np.array([one_gene(*gene) for gene in genes])
    standard = found["standard"]
    for column, ours in enumerate((standard.r, standard.p, standard.r_untrained, standard.dependent_p)):
        assert ours[:TIMED] == pytest.approx(expected[:, column], rel=1e-9, abs=1e-13)
    benchmark.extra_info |= {
        "seconds": mine,
        "loop_seconds_scaled": loop,
        "loop_genes_timed": TIMED,
        "times_faster_than_the_loop": loop / mine,
    }
    assert loop / mine > 30


def test_memory_does_not_grow_with_the_units() -> None:
    """Beyond the matrices given: arrays of genes, and a block of columns."""
    peaks = []
    for patients in (200, 800):
        matrices = np.random.default_rng(0).standard_normal((3, patients, 4_000), dtype=np.float32)
        tracemalloc.start()
        well_predicted(*matrices)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]
    assert peaks[1] < 12e6
