"""Who lies beside whom: marker-positive cells within a radius of each other, against random labelling.

Statistic of markers A and B: pairs (i, j), j another cell within ``radius`` of i, with i positive for A and j for B;
divided by the A-positive cells it is the mean number of B around an A. The null keeps every position and hands whole
cells' labels (all markers of a cell together) to places at random: random labelling (Diggle, Statistical Analysis of
Spatial Point Patterns, 2003; the neighbourhood enrichment of histoCAT, Schapiro et al., Nature Methods 2017). So
co-expression within a cell, density, the outline of the tissue and its edges are the same in the data and in every
draw: a cell at the edge has fewer neighbours in both, and no correction is needed. What random labelling does call
co-localisation is two markers of the same region (tumour and stroma); ``blocks`` permutes within squares instead, and
then only what lies together within a square counts.

The mean under the null is known without any draw. Of m ordered neighbour pairs among n cells, with a, b and c cells
positive for A, for B and for both, E = m (a b - c) / (n (n - 1)); of a marker with itself m a (a - 1) / (n (n - 1)).
The draws give SD and p.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from protocols.errors import UserError
from protocols.metrics.well_predicted import benjamini_hochberg
from protocols.seeds import generator

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]
Int = NDArray[np.int64]

DRAWS = 500
RADIUS_UM = 30.0
"""About two cells' diameters: the cell and its neighbours."""
LEAST_POSITIVES = 10
LEAST_EXPECTED = 1.0
"""Pairs expected by chance below which nothing can be said of their number."""
MOST_PAIRS = 2**25
"""Ordered neighbour pairs held at once (some 400 MB); more means a radius as large as the tissue."""
HALF = 0.5
"""Added to both numbers of pairs in the log ratio, so that no pair at all is a finite number (Haldane 1955)."""


@dataclass(frozen=True, eq=False)
class Counts:
    """Pairs of one slide, or of several added up. Symmetric ``(k, k)``; ``draws (permutations, k, k)``."""

    markers: tuple[str, ...]
    cells: int
    neighbours: int
    positive: Int
    observed: Int
    expected: Float
    draws: Int


@dataclass(frozen=True)
class Niche:
    """One pair of markers. ``observed``: mean number of B-positive cells around an A-positive one; ``null_mean``, which
    is exact, and ``null_sd`` on the same scale; ``log_ratio``: natural, of pairs observed to expected, a half added to
    both.

    p by (1 + draws at least as extreme) / (1 + draws): ``p_greater`` (together), ``p_less`` (apart), ``p`` two-sided,
    twice the smaller; ``q`` is Benjamini-Hochberg's over all defined pairs of the table. Where ``reason`` is not empty
    the pair is undefined: numbers NaN, p and q 1, and it counts in no correction.
    """

    a: str
    b: str
    positive_a: int
    positive_b: int
    observed: float
    null_mean: float
    null_sd: float
    z: float
    log_ratio: float
    p_greater: float
    p_less: float
    p: float
    q: float = 1.0
    reason: str = ""


def count_pairs(
    xy: Float,
    positive: Bool,
    markers: Sequence[str],
    *,
    radius: float,
    seed: int,
    permutations: int = DRAWS,
    blocks: float | None = None,
) -> Counts:
    """Pairs observed, expected and drawn, for all pairs of markers at once.

    ``xy (n, 2)`` in the unit of ``radius``; ``positive (n, k)``. ``blocks``: side of the squares within which labels
    are permuted; None: the whole slide. Time: permutations × neighbour pairs × markers; memory: the neighbour pairs.
    """
    xy = np.asarray(xy, dtype=np.float64)
    labels = np.asarray(positive, dtype=bool)
    if xy.ndim != 2 or xy.shape[1] != 2 or labels.shape != (len(xy), len(markers)):
        raise _refused(f"positions {xy.shape}, labels {labels.shape}", f"(n, 2) and (n, {len(markers)})", "align them")
    if len(xy) < 2 or not np.isfinite(xy).all():
        raise _refused("fewer than two cells, or a position that is not finite", "cells with places", "drop the others")
    if not (math.isfinite(radius) and radius > 0) or permutations < 1 or (blocks is not None and not blocks > 0):
        raise _refused(f"radius {radius}, {permutations} permutations, blocks {blocks}", "numbers above 0", "mend them")
    near = neighbours(xy, radius)
    block = _block_of(xy, blocks)
    values = labels.astype(np.float64)
    draws = np.empty((permutations, len(markers), len(markers)), dtype=np.int64)
    rng = generator(seed, "random labelling")
    by_block, order = np.argsort(block, kind="stable"), np.empty(len(xy), dtype=np.int64)
    for draw in draws:
        order[by_block] = np.lexsort((rng.random(len(xy)), block))  # each block's cells, in a random order
        draw[:] = _pairs(near, values[order])
    return Counts(
        tuple(markers),
        len(xy),
        near.nnz,
        labels.sum(axis=0).astype(np.int64),
        _pairs(near, values),
        expected_pairs(near, labels, block),
        draws,
    )


def neighbours(xy: Float, radius: float) -> sparse.csr_matrix:
    """Symmetric ``(n, n)``, 1 where two different cells lie within ``radius`` (its end included)."""
    from scipy.spatial import cKDTree

    tree = cKDTree(xy)
    pairs = int(tree.count_neighbors(tree, radius)) - len(xy)
    if pairs > MOST_PAIRS:
        raise _refused(
            f"{pairs} neighbours of {len(xy)} cells", f"at most {MOST_PAIRS}", "take a smaller radius, or less tissue"
        )
    one, other = tree.query_pairs(radius, output_type="ndarray").T
    ones = np.ones(2 * len(one))
    at = (np.concatenate([one, other]), np.concatenate([other, one]))
    return sparse.csr_matrix((ones, at), shape=(len(xy), len(xy)))


def expected_pairs(near: sparse.csr_matrix, labels: Bool, block: Int) -> Float:
    """Mean of the pairs ``(k, k)`` over all permutations within blocks, exactly."""
    sizes = np.bincount(block).astype(np.float64)
    member = sparse.csr_matrix((np.ones(len(block)), (np.arange(len(block)), block)), shape=(len(block), len(sizes)))
    pairs = sparse.csr_matrix(member.T @ near @ member)  # ordered neighbour pairs between two blocks
    values = labels.astype(np.float64)
    totals = np.asarray(member.T @ values)  # positives of each block
    within = pairs.diagonal()
    shares = totals / sizes[:, None]
    between = pairs - sparse.diags(within)
    found = shares.T @ (between @ shares)
    rows = np.split(values[np.argsort(block, kind="stable")], np.cumsum(sizes[:-1]).astype(int))
    for one in np.flatnonzero(within):
        same = rows[one].T @ rows[one]
        found += within[one] * (np.outer(totals[one], totals[one]) - same) / (sizes[one] * (sizes[one] - 1))
    return np.asarray(found, dtype=np.float64)


def added(several: Sequence[Counts]) -> Counts:
    """One patient's slides as one: pairs add up, draw by draw, and no cell neighbours one of another slide."""
    first = several[0]
    if any(one.markers != first.markers or one.draws.shape != first.draws.shape for one in several):
        raise _refused("slides of other markers or permutations", "the same of all", "ask for markers that all have")
    return Counts(
        first.markers,
        sum(one.cells for one in several),
        sum(one.neighbours for one in several),
        np.sum([one.positive for one in several], axis=0),
        np.sum([one.observed for one in several], axis=0),
        np.sum([one.expected for one in several], axis=0),
        np.sum([one.draws for one in several], axis=0),
    )


def niches(
    counts: Counts,
    pairs: Sequence[tuple[str, str]] | None = None,
    *,
    undefined: dict[str, str] | None = None,
    least_positives: int = LEAST_POSITIVES,
) -> list[Niche]:
    """Judge pairs of markers (all unordered ones and every marker with itself, unless named), in the order asked.

    ``undefined``: markers that have no positive cells for a reason of their own (a gate that does not exist).
    """
    place = {marker: at for at, marker in enumerate(counts.markers)}
    if pairs is None:
        pairs = [(a, b) for at, a in enumerate(counts.markers) for b in counts.markers[at:]]
    found = [_niche(counts, place[a], place[b], undefined or {}, least_positives) for a, b in pairs]
    defined = [at for at, one in enumerate(found) if not one.reason]
    q = benjamini_hochberg(np.array([found[at].p for at in defined])) if defined else np.empty(0)
    for at, value in zip(defined, q.tolist(), strict=True):
        found[at] = Niche(**{**vars(found[at]), "q": value})
    return found


def _niche(counts: Counts, a: int, b: int, undefined: dict[str, str], least: int) -> Niche:
    names = counts.markers[a], counts.markers[b]
    positive = int(counts.positive[a]), int(counts.positive[b])
    expected, observed = float(counts.expected[a, b]), int(counts.observed[a, b])
    reason = _why_undefined(counts, names, positive, expected, undefined, least)
    if reason:
        none = math.nan
        return Niche(*names, *positive, none, none, none, none, none, 1.0, 1.0, 1.0, 1.0, reason)
    draws = counts.draws[:, a, b]
    n = len(draws)
    greater = (1 + int((draws >= observed).sum())) / (1 + n)
    less = (1 + int((draws <= observed).sum())) / (1 + n)
    sd = float(draws.std(ddof=1)) if n > 1 else math.nan
    z = (observed - expected) / sd if sd > 0 else math.nan
    ratio = math.log((observed + HALF) / (expected + HALF))
    scale = positive[0]
    return Niche(
        *names, *positive, observed / scale, expected / scale, sd / scale, z, ratio, greater, less,
        min(1.0, 2 * min(greater, less)),
    )  # fmt: skip


def _why_undefined(
    counts: Counts,
    names: tuple[str, str],
    positive: tuple[int, int],
    expected: float,
    undefined: dict[str, str],
    least: int,
) -> str:
    for name, cells in zip(names, positive, strict=True):
        if undefined.get(name):
            return f"{name}: {undefined[name]}"
        if cells < least:
            return f"{name}: {cells} positive cells, fewer than {least}"
        if counts.cells - cells < least:
            return f"{name}: {counts.cells - cells} cells are not positive, fewer than {least}"
    if expected < LEAST_EXPECTED:
        return f"{expected:.2g} pairs expected by chance, fewer than {LEAST_EXPECTED:g}"
    return ""


def _pairs(near: sparse.csr_matrix, values: Float) -> Int:
    # Sums of ones below 2**53: exact, so that ties with the observed number are ties.
    return np.asarray(np.rint(values.T @ (near @ values)), dtype=np.int64)


def _block_of(xy: Float, side: float | None) -> Int:
    if side is None:
        return np.zeros(len(xy), dtype=np.int64)
    corner = np.floor((xy - xy.min(axis=0)) / side).astype(np.int64)
    return np.asarray(np.unique(corner, axis=0, return_inverse=True)[1]).reshape(-1).astype(np.int64)


def _refused(what: str, expected: str, remedy: str) -> UserError:
    return UserError(what, where="niche analysis", expected=expected, remedy=remedy)
