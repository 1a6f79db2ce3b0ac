"""The best prediction from what is visible, and the Pearson r that it can reach.

The target of a count c with total T is y = log1p(10^4 c / T). Given a gene's proportion p, E[y | p] is a smooth
function of p alone, because the law of T does not depend on p (see :mod:`protocols.phantom.expression`): it is
computed by quadrature over the library size and over the rest of the counts, and by summation over c. What is left,
the mean over the hidden programs, is taken by quasi-Monte Carlo. So the oracle has no sampling noise of counts in it.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import nbinom, norm, qmc

from protocols.phantom.expression import SlideLaw
from protocols.phantom.settings import PhantomSettings
from protocols.phantom.tissue import Float, SlideName
from protocols.seeds import generator

SCALE = 10_000.0
QUANTUM = 1.0 / 32.0
"""The oracle is written in steps of 1/32: exact in half precision, small on disk, no effect on r."""
CHUNK = 128
LIBRARY_NODES = 12
REST_NODES = 7
GRID = 120


def expected_target(law: SlideLaw, p: Float) -> Float:
    """E[log1p(10^4 c / T) | p] for each proportion of ``p`` (any shape 1-D), over library size and counts.

    The rest of the counts, T - c, is a sum of many; its law is replaced by the gamma law of the same mean and
    variance at Gauss-Hermite nodes of its logarithm, which for totals above a few tens is exact to 1e-3.
    """
    z, w = np.polynomial.hermite_e.hermegauss(LIBRARY_NODES)
    u, v = np.polynomial.hermite_e.hermegauss(REST_NODES)
    w, v = w / w.sum(), v / v.sum()
    out = np.zeros(len(p))
    for node, weight in zip(z, w, strict=True):
        library = law.depth * np.exp(law.depth_cell_sd * node)
        mean = library * p
        top = int(nbinom.ppf(1 - 1e-9, mean.max() / law.theta, 1 / (1 + law.theta))) + 2
        c = np.arange(1, top)
        pmf = nbinom.pmf(c[None, :], mean[:, None] / law.theta, 1 / (1 + law.theta))
        rest_mean = library * (1 - p)
        rest_sd = np.sqrt(rest_mean * (1 + law.theta))
        for at, share in zip(u, v, strict=True):
            rest = np.maximum(rest_mean + at * rest_sd, 0.0)
            out += weight * share * (pmf * np.log1p(SCALE * c / (c + rest[:, None]))).sum(axis=1)
    return out


def hidden_nodes(rng: np.random.Generator, count: int, dimensions: int) -> Float:
    """``(count, dimensions)`` standard normal points, spread evenly (scrambled Sobol; at least ``count`` of them)."""
    sobol = qmc.Sobol(dimensions, rng=rng)
    return np.asarray(norm.ppf(np.clip(sobol.random_base2(int(np.ceil(np.log2(count)))), 1e-9, 1 - 1e-9)))


def oracle_prediction(law: SlideLaw, settings: PhantomSettings, seed: int, name: SlideName) -> Float:
    """E[y | visible], ``(n, g)``, rounded to :data:`QUANTUM`; constant for genes with v = 0."""
    programs = hidden_nodes(generator(seed, "oracle", name.slide), settings.oracle_draws, law.hidden.shape[0])
    grid = np.exp(np.linspace(np.log(1e-7), 0.0, GRID))
    table = expected_target(law, grid)
    log_grid = np.log(grid)
    total = np.zeros_like(law.visible)
    for start in range(0, len(law.visible), CHUNK):
        cells = slice(start, start + CHUNK)
        for program in programs:
            p = law.proportions(program[None, :], cells)
            total[cells] += np.interp(np.log(p), log_grid, table)
    mean = total / len(programs)
    mean[:, law.share == 0] = mean[:, law.share == 0].mean(axis=0)
    return np.round(mean / QUANTUM) * QUANTUM


def pearson(a: Float, b: Float) -> Float:
    """Pearson r column by column; NaN where either column is constant."""
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    norm = np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))
    return np.asarray((a * b).sum(axis=0) / np.where(norm > 1e-12, norm, np.nan))


def reachable_r(law: SlideLaw, oracle: Float, settings: PhantomSettings, seed: int, name: SlideName) -> Float:
    """Mean Pearson r of the oracle with replicates of the counts that are written nowhere; 0 where v = 0."""
    rng = generator(seed, "replicates", name.slide)
    rows = []
    for _ in range(settings.replicate_draws):
        counts = law.draw(rng)
        total = np.maximum(counts.sum(axis=1, keepdims=True), 1)
        rows.append(pearson(oracle, np.log1p(SCALE * counts / total)))
    values = np.stack(rows)
    defined = np.isfinite(values)
    mean = np.where(defined, values, 0.0).sum(axis=0) / np.maximum(defined.sum(axis=0), 1)
    return np.where(law.share == 0, 0.0, np.round(mean, 5))
