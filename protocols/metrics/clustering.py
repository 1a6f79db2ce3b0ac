"""Leiden clusters of an expression matrix: principal components, a neighbour graph, modularity.

Follows the usual chain of the field (scanpy: PCA of log-normalised values, centred and unscaled; 15 nearest
neighbours with UMAP's fuzzy weights; Leiden by igraph on modularity, two iterations), written out here because
importing scanpy costs each process seconds. PAST's Methods name Leiden alone; every number is therefore ours and
stands in :class:`ClusteringSettings`. Nothing is approximate or random except Leiden, which gets a seed.
"""

from __future__ import annotations

import importlib
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.seeds import derive_seed

Labels = NDArray[np.int64]
Float64Array = NDArray[np.float64]

EXACT_SIZE = 1500  # up to here the covariance is decomposed whole; beyond, Lanczos from a fixed start
CHUNK = 1024
CONSTANT = 1e-6  # a gene whose SD is below this share of its root mean square is constant up to float32 rounding


@dataclass(frozen=True)
class ClusteringSettings:
    """scanpy's defaults. ``neighbours`` counts the unit itself, as scanpy's ``n_neighbors`` does."""

    components: int = 50
    neighbours: int = 15
    resolution: float = 1.0
    iterations: int = 2


def leiden_clusters(values: NDArray[Any], *, seed: int, settings: ClusteringSettings | None = None) -> Labels:
    """Cluster number of each row of ``(n, G)``, largest cluster first; finite values only.

    One cluster if no gene varies. Fewer rows than neighbours are allowed: the graph is then complete.
    """
    settings = settings or ClusteringSettings()
    if len(values) < 3:
        return np.zeros(len(values), dtype=np.int64)
    x = values.astype(np.float64)
    mean = x.mean(axis=0)
    x -= mean
    variance = np.einsum("ij,ij->j", x, x) / len(x)
    varying = variance > CONSTANT**2 * (variance + mean * mean)
    if not varying.any():
        return np.zeros(len(x), dtype=np.int64)
    scores = principal_components(x[:, varying], settings.components, seed=seed)
    rows, columns, weights = fuzzy_graph(*nearest_neighbours(scores, min(settings.neighbours, len(x))))
    return largest_first(_leiden(len(x), rows, columns, weights, seed, settings))


def principal_components(centred: Float64Array, components: int, *, seed: int = 0) -> Float64Array:
    """Scores ``(n, k)`` of centred values ``(n, G)`` on the leading components, ``k ≤ min(n, G) - 1`` (at least 1).

    Signs are arbitrary (distances do not see them).
    """
    n, genes = centred.shape
    k = max(1, min(components, n - 1, genes - 1))
    if min(n, genes) <= EXACT_SIZE:
        squares, axes = np.linalg.eigh(centred.T @ centred if genes <= n else centred @ centred.T)
        leading = axes[:, : -k - 1 : -1]
        scores: Float64Array = (
            centred @ leading if genes <= n else leading * np.sqrt(np.maximum(squares[: -k - 1 : -1], 0.0))
        )
        return scores
    from scipy.sparse.linalg import svds

    start = np.random.default_rng(derive_seed(seed, "principal components")).normal(size=min(n, genes))
    left, singular, _ = svds(centred, k=k, v0=start)
    return np.asarray(left * singular, dtype=np.float64)[:, ::-1]


def nearest_neighbours(points: Float64Array, neighbours: int) -> tuple[Labels, Float64Array]:
    """Exact Euclidean neighbours: indices and distances ``(n, neighbours)``, nearest first, the point itself first."""
    squares = np.einsum("ij,ij->i", points, points)
    index = np.empty((len(points), neighbours), dtype=np.int64)
    distance = np.empty(index.shape)
    for start in range(0, len(points), CHUNK):
        block = points[start : start + CHUNK]
        here = np.arange(len(block))
        rough = squares - 2.0 * block @ points.T  # plus a constant of the row; exact distances follow
        rough[here, start + here] = -np.inf
        near = np.argpartition(rough, neighbours - 1, axis=1)[:, :neighbours]
        gap = block[:, None, :] - points[near]  # from differences, so that twins are at exactly 0
        exact = np.sqrt(np.einsum("ijk,ijk->ij", gap, gap))
        exact[near == (start + here)[:, None]] = -1.0
        order = np.argsort(exact, axis=1, kind="stable")
        index[start : start + CHUNK] = np.take_along_axis(near, order, axis=1)
        distance[start : start + CHUNK] = np.maximum(np.take_along_axis(exact, order, axis=1), 0.0)
    return index, distance


def fuzzy_graph(index: Labels, distance: Float64Array) -> tuple[Labels, Labels, Float64Array]:
    """UMAP's symmetric neighbour graph (McInnes et al. 2018, section 3.1): edges ``row < column`` and weights.

    Membership of neighbour j of i is exp(-(d - rho_i)/sigma_i), rho_i the nearest non-zero distance, sigma_i such
    that memberships sum to log2(k); the two directions join as a + b - a·b.
    """
    n, k = index.shape
    other = distance[:, 1:]
    rho = np.where((other > 0).any(axis=1), np.where(other > 0, other, np.inf).min(axis=1, initial=np.inf), 0.0)
    beyond = np.maximum(other - rho[:, None], 0.0)
    sigma = _bandwidth(beyond, float(np.log2(k)))
    sigma = np.maximum(sigma, 1e-3 * np.where(rho > 0, distance.mean(axis=1), distance.mean()))
    # sigma is 0 only where every distance is: then all neighbours are twins and belong fully.
    member = np.exp(-beyond / np.where(sigma > 0, sigma, 1.0)[:, None])

    row = np.repeat(np.arange(n), k - 1)
    column = index[:, 1:].ravel()
    low, high = np.minimum(row, column), np.maximum(row, column)
    edge, at = np.unique(low * n + high, return_inverse=True)
    absent = np.ones(len(edge))  # (1 - a)(1 - b), so that weight = 1 - absent = a + b - ab
    np.multiply.at(absent, at, 1.0 - member.ravel())
    weight = 1.0 - absent
    kept = weight > 0
    return edge[kept] // n, edge[kept] % n, weight[kept]


def largest_first(labels: NDArray[np.integer[Any]]) -> Labels:
    """The same partition numbered by falling size; equal sizes by first appearance."""
    _, first, dense, sizes = np.unique(labels, return_index=True, return_inverse=True, return_counts=True)
    number = np.empty(len(sizes), dtype=np.int64)
    number[np.lexsort((first, -sizes))] = np.arange(len(sizes))
    return number[dense]


def _bandwidth(beyond: Float64Array, target: float) -> Float64Array:
    """Sigma per row with sum(exp(-beyond/sigma)) = target, by bisection; ``(n,)``."""
    low, high = np.zeros(len(beyond)), np.full(len(beyond), np.inf)
    sigma = np.ones(len(beyond))
    for _ in range(64):
        surplus = np.exp(-beyond / sigma[:, None]).sum(axis=1) - target
        if np.all(np.abs(surplus) < 1e-5):
            break
        moving = np.abs(surplus) >= 1e-5
        high = np.where(moving & (surplus > 0), sigma, high)
        low = np.where(moving & (surplus <= 0), sigma, low)
        halved = np.where(np.isinf(high), 2.0 * sigma, (low + np.where(np.isinf(high), 0.0, high)) / 2.0)
        sigma = np.where(moving, np.maximum(halved, 1e-300), sigma)
    return sigma


def _leiden(
    n: int, rows: Labels, columns: Labels, weights: Float64Array, seed: int, settings: ClusteringSettings
) -> Labels:
    igraph = _igraph()
    graph = igraph.Graph(n=n, edges=np.column_stack([rows, columns]))
    with _seeded_igraph(seed):
        partition = graph.community_leiden(
            objective_function="modularity",
            weights=weights.tolist(),
            resolution=settings.resolution,
            n_iterations=settings.iterations,
        )
    return np.array(partition.membership, dtype=np.int64)


def _igraph() -> Any:
    """igraph without its plotting: importing it would import matplotlib, most of a second in every scoring process."""
    if "igraph" in sys.modules or "matplotlib" in sys.modules:
        return importlib.import_module("igraph")
    sys.modules["matplotlib"] = None  # type: ignore[assignment]  # igraph takes the ImportError as "not installed"
    try:
        return importlib.import_module("igraph")
    finally:
        del sys.modules["matplotlib"]


@contextmanager
def _seeded_igraph(seed: int) -> Iterator[None]:
    """igraph draws from one generator per process (by default Python's ``random``): lend it a seeded one."""
    igraph = _igraph()
    igraph.set_random_number_generator(random.Random(derive_seed(seed, "leiden")))
    try:
        yield
    finally:
        igraph.set_random_number_generator(random)
