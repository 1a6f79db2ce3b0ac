"""Components, neighbour graph and Leiden, each against an independent implementation."""

from __future__ import annotations

import random

import numpy as np
import pytest

from protocols.metrics import clustering
from protocols.metrics.biology import adjusted_rand_index
from protocols.metrics.clustering import (
    ClusteringSettings,
    fuzzy_graph,
    largest_first,
    leiden_clusters,
    nearest_neighbours,
    principal_components,
)


def populations(n: int = 300, genes: int = 40, types: int = 4, noise: float = 0.3, seed: int = 0):
    """Cells of well-separated types: ``(values, type)``."""
    rng = np.random.default_rng(seed)
    label = rng.choice(types, n)
    return rng.normal(size=(types, genes))[label] + noise * rng.normal(size=(n, genes)), label


@pytest.mark.parametrize("shape", [(60, 8), (30, 50)])
def test_components_are_those_of_the_singular_value_decomposition(shape: tuple[int, int]) -> None:
    x = np.random.default_rng(0).normal(size=shape) * np.linspace(1, 3, shape[1])
    x -= x.mean(axis=0)
    left, singular, _ = np.linalg.svd(x, full_matrices=False)
    scores = principal_components(x, 5)
    assert scores.shape == (shape[0], 5)
    assert np.abs(scores) == pytest.approx(np.abs(left[:, :5] * singular[:5]), abs=1e-8)


def test_large_matrices_take_another_road_to_the_same_components(monkeypatch: pytest.MonkeyPatch) -> None:
    x, _ = populations()
    x -= x.mean(axis=0)
    exact = principal_components(x, 3)
    monkeypatch.setattr(clustering, "EXACT_SIZE", 10)
    other = principal_components(x, 3)
    assert np.abs(other) == pytest.approx(np.abs(exact), abs=1e-6)
    assert np.array_equal(other, principal_components(x, 3))


def test_neighbours_agree_with_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.neighbors import NearestNeighbors

    monkeypatch.setattr(clustering, "CHUNK", 64)
    points = np.random.default_rng(0).normal(size=(200, 6))
    index, distance = nearest_neighbours(points, 10)
    theirs_distance, theirs = NearestNeighbors(n_neighbors=10, algorithm="brute").fit(points).kneighbors(points)
    assert np.array_equal(index, theirs)
    assert distance == pytest.approx(theirs_distance, abs=1e-6)


def test_twins_are_at_distance_zero_and_come_after_the_point_itself() -> None:
    points = np.repeat(np.random.default_rng(0).normal(size=(10, 3)) + 1e3, 2, axis=0)
    index, distance = nearest_neighbours(points, 3)
    assert np.array_equal(index[:, 0], np.arange(20))
    assert np.array_equal(index[:, 1], np.arange(20) ^ 1)
    assert np.all(distance[:, :2] == 0)
    assert np.all(distance[:, 2] > 0)


def test_a_graph_of_twins_alone_has_full_weights() -> None:
    _, _, weights = fuzzy_graph(*nearest_neighbours(np.ones((6, 2)), 3))
    assert np.all(weights == 1)


def test_leiden_finds_planted_populations_and_repeats_itself() -> None:
    values, label = populations()
    found = leiden_clusters(values, seed=0)
    assert adjusted_rand_index(found, label) == 1.0
    assert np.array_equal(found, leiden_clusters(values, seed=0))
    sizes = np.bincount(found)
    assert list(sizes) == sorted(sizes, reverse=True)


def test_resolution_is_used() -> None:
    values, _ = populations(noise=1.0)
    few = leiden_clusters(values, seed=0, settings=ClusteringSettings(resolution=0.05))
    many = leiden_clusters(values, seed=0, settings=ClusteringSettings(resolution=5.0))
    assert len(np.unique(few)) < len(np.unique(many))


def test_nothing_varies_one_cluster() -> None:
    constant = np.full((50, 4), 0.1, dtype=np.float32)
    constant[::2] = np.nextafter(constant[::2], np.float32(1))
    assert np.all(leiden_clusters(constant, seed=0) == 0)
    assert len(leiden_clusters(np.zeros((0, 4)), seed=0)) == 0


def test_the_seed_matters_only_to_leiden_and_the_global_generator_is_left_alone() -> None:
    values = np.random.default_rng(0).normal(size=(200, 20))
    random.seed(5)
    state = random.getstate()
    partitions = {tuple(leiden_clusters(values, seed=seed)) for seed in range(4)}
    assert len(partitions) > 1  # noise has no stable partition: the seed is really handed over
    assert random.getstate() == state


def test_partitions_are_numbered_by_size() -> None:
    assert list(largest_first(np.array([7, 2, 2, 9, 9, 2]))) == [2, 0, 0, 1, 1, 0]
    assert list(largest_first(np.array([5, 3, 5, 3]))) == [0, 1, 0, 1]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_graph_and_clusters_agree_with_scanpy() -> None:
    import anndata
    import scanpy

    values, _ = populations(n=250, noise=1.2, types=5)
    data = anndata.AnnData(values.astype(np.float64))
    scanpy.pp.pca(data, n_comps=20, svd_solver="full")
    scanpy.pp.neighbors(data, n_neighbors=15, use_rep="X_pca")
    scores = principal_components(values - values.mean(axis=0), 20)
    rows, columns, weights = fuzzy_graph(*nearest_neighbours(scores, 15))
    mine = np.zeros((250, 250))
    mine[rows, columns] = mine[columns, rows] = weights
    assert mine == pytest.approx(data.obsp["connectivities"].toarray(), abs=2e-3)
    scanpy.tl.leiden(data, flavor="igraph", n_iterations=2, directed=False, random_state=0)
    found = leiden_clusters(values, seed=0, settings=ClusteringSettings(components=20))
    assert adjusted_rand_index(found, data.obs["leiden"].astype(int).to_numpy()) > 0.95
