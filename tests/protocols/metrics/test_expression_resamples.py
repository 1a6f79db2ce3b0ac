"""Patient resamples of mean r: equal to a plain loop over the same draws, paired, and their intervals cover."""

from __future__ import annotations

import numpy as np
import pytest

from protocols.metrics.expression_resamples import RESAMPLES, mean_r_replicates
from protocols.metrics.gene_correlation import pearson_per_gene
from protocols.seeds import generator

Fold = tuple[str, np.ndarray, np.ndarray]


def folds_of(seed: int, n: int = 14, genes: int = 9, folds: int = 2, signal: float = 0.7) -> list[Fold]:
    rng = np.random.default_rng(seed)
    found = []
    for number in range(folds):
        truth = rng.normal(8, 2, (n + number, genes))
        noise = rng.normal(size=truth.shape)
        found.append((str(number), truth, signal * (truth - 8) / 2 + np.sqrt(1 - signal**2) * noise))
    return found


def naive(folds: list[Fold], seed: int, resamples: int) -> np.ndarray:
    """Patients drawn by the documented weights, repeated as rows, and correlated gene by gene by NumPy."""
    genes = folds[0][1].shape[1]
    total, counted = np.zeros((resamples, genes)), np.zeros(genes)
    for name, truth, predicted in folds:
        n = len(truth)
        drawn = generator(seed, "bulk resamples", name, n).multinomial(n, np.full(n, 1 / n), resamples)
        varies = np.ptp(truth, axis=0) > 0
        counted += varies
        for number, times in enumerate(drawn):
            rows = np.repeat(np.arange(n), times)
            for gene in np.flatnonzero(varies):
                t, p = truth[rows, gene], predicted[rows, gene]
                total[number, gene] += 0.0 if np.ptp(t) == 0 or np.ptp(p) == 0 else np.corrcoef(t, p)[0, 1]
    return (total / np.maximum(counted, 1)).mean(axis=1)


def test_equal_to_a_plain_loop() -> None:
    folds = folds_of(0)
    folds[0][2][:, 3] = 4.0  # a constant prediction
    folds[1][1][:, 5] = 1.0  # a constant truth
    np.testing.assert_allclose(mean_r_replicates(folds, 7, 40), naive(folds, 7, 40), atol=1e-10)


def test_a_resample_in_which_a_gene_is_constant_counts_zero() -> None:
    """Three patients, two of them equal in truth: many resamples hold no difference at all."""
    folds = [("0", np.array([[0.0], [0.0], [1.0]]), np.array([[0.1], [0.2], [0.9]]))]
    found = mean_r_replicates(folds, 0, 300)
    np.testing.assert_allclose(found, naive(folds, 0, 300), atol=1e-10)
    assert (found == 0).mean() > 0.2
    assert np.isfinite(found).all()


def test_many_genes_are_taken_in_blocks_and_large_means_lose_nothing() -> None:
    folds = folds_of(1, genes=1100, folds=1)
    by_gene = np.mean([mean_r_replicates([("0", t[:, [k]], p[:, [k]])], 3, 5) for _, t, p in folds
                       for k in range(t.shape[1])], axis=0)  # fmt: skip
    np.testing.assert_allclose(mean_r_replicates(folds, 3, 5), by_gene, atol=1e-12)
    far = [(name, truth + 1e6, predicted - 1e6) for name, truth, predicted in folds]
    np.testing.assert_allclose(mean_r_replicates(far, 3, 5), by_gene, atol=1e-8)


def test_draws_are_the_models_common_ground() -> None:
    folds = folds_of(2)
    scaled = [(name, truth, 3 * predicted + 1) for name, truth, predicted in folds]
    np.testing.assert_allclose(mean_r_replicates(folds, 0), mean_r_replicates(scaled, 0), atol=1e-12)
    assert len(mean_r_replicates(folds, 0)) == RESAMPLES
    assert not np.allclose(mean_r_replicates(folds, 0), mean_r_replicates(folds, 1))
    opposite = [(name, truth, -predicted) for name, truth, predicted in folds]
    np.testing.assert_allclose(mean_r_replicates(opposite, 0), -mean_r_replicates(folds, 0), atol=1e-12)


@pytest.mark.parametrize("signal", [0.0, 0.5])
def test_the_interval_covers(signal: float) -> None:
    """95 % intervals of 120 made-up studies, 5 folds of 12 patients: what the folds' r estimate lies inside."""
    inside = 0
    expected = np.mean([
        [pearson_per_gene(t, p).mean() for _, t, p in folds_of(seed, 12, 6, 1, signal)] for seed in range(5000, 5400)
    ])  # fmt: skip
    for seed in range(120):
        folds = folds_of(seed, 12, 6, 5, signal)
        low, high = np.percentile(mean_r_replicates(folds, seed, 200), (2.5, 97.5))
        inside += int(low <= expected <= high)
    print(f"signal {signal}: {inside} of 120 intervals cover")
    assert inside >= 106  # of 120; 0.5th percentile of binomial(120, .95) is 107
