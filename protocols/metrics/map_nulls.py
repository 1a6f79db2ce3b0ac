"""Have two maps something in common beyond their trends? Moran spectral randomisation of what the trends leave.

Neighbouring tiles are alike, so t tiles are far fewer independent observations, and a t-test of r is far too sure; and
tissue has gradients, so that two maps may correlate because both rise towards one side. Both maps are therefore rid of
their trend, a quadratic surface on each piece of tissue, and written as patterns from broad to fine
(:mod:`protocols.metrics.map_trends`). The correlation of what is left is the sum of the products of their coefficients;
random signs of the coefficients keep each map's share of every scale, and with it its Moran's I, and break its tie to
the other map: Wagner and Dray, Methods Ecol. Evol. 2015.

Measured on percentile maps, on a square of 30 x 30 tiles, a disc of that width and two pieces of 30 x 12: p < .05 in so
many of 10,000 independent pairs (standard error .002), and in so many of 2,500 pairs with r = .5:

| maps                                    | square | disc | two pieces | r = .5: square | disc | two pieces |
|-----------------------------------------|--------|------|------------|----------------|------|------------|
| linear gradients                        | .000   | .000 | .000       |                |      |            |
| gradients + noise (SD .5)               | .054   | .057 | .050       |                |      |            |
| Gaussian fields, sigma 2 tiles          | .049   | .052 | .055       | .959           | .924 | .930       |
| sigma 4                                 | .053   | .052 | .051       | .602           | .549 | .536       |
| sigma 6                                 | .051   | .049 | .049       | .415           | .360 | .370       |
| gradients + fields, sigma 4             | .058   | .049 | .056       | .584           | .502 | .548       |
| gradients + fields, sigma 6             | .052   | .041 | .037       | .370           | .262 | .242       |
| sigma 10                                | .053   | .040 | .022       | .267           | .191 | .106       |

In maps that vary over a third of their tissue or more (sigma 10) hardly anything is left to test, and p is too large.
Without percentiles, of maps with heavy tails (exp(1.5 x field)), .06. The toroidal shifts that stood here before gave
.34 of gradients, and .11 of fields of sigma 6 on a square or two pieces.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocols.errors import UserError
from protocols.metrics.map_trends import Patterns, patterns_of
from protocols.metrics.spatial_maps import MapScores, TileGrid, pearson_of_maps
from protocols.seeds import generator

Float = NDArray[np.float64]

DRAWS = 999
LEAST_BEYOND = 0.03
"""Share of a map's variance below which nothing but its trend is left. What a quadratic surface leaves of any monotone
function of a gradient is less (0 to .02 of its percentiles), and alike in all of them."""
TIED = 1e-9
"""Correlations this near are equal, and count against the model."""
_AT_ONCE = 2**22  # numbers of one array of draws


@dataclass(frozen=True, eq=False)
class BeyondTrend:
    """Per gene: Pearson ``r`` of what prediction and truth have beyond their trends, and its one-sided ``p (g,)``.

    r is undefined where the truth has nothing beyond its trend, and p = 1. A prediction that has nothing there says
    nothing: r = 0, p = 1. The least p is 1 / (1 + draws).
    """

    r: MapScores
    p: Float


def beyond_trend(predicted: Float, truth: Float, grid: TileGrid, *, seed: int, draws: int = DRAWS) -> BeyondTrend:
    """Both maps ``(t, g)``; p = (1 + #{draw: r of the draw >= r}) / (1 + draws), the same signs for every gene."""
    if not len(predicted) == len(truth) == len(grid.row):
        raise UserError(
            f"maps of {len(predicted)} and {len(truth)} tiles",
            where="correlation beyond the trend",
            expected=f"{len(grid.row)} tiles, as the grid",
            remedy="use the section's own grid",
        )
    if not (np.isfinite(predicted).all() and np.isfinite(truth).all()):
        raise UserError(
            "a value is NaN or infinite",
            where="correlation beyond the trend",
            expected="finite values on every tissue tile",
            remedy="leave tiles without a value out of the grid",
        )
    found = patterns_of(grid)
    x, y = (beyond(values, found) for values in (predicted, truth))
    observed = pearson_of_maps(found.patterns @ x, found.patterns @ y)
    products = x * y
    signs = 2.0 * generator(seed, "signs of patterns", len(x)).integers(2, size=(draws, len(x))) - 1
    p = np.ones(len(observed.value))
    step = max(1, _AT_ONCE // draws)
    for start in range(0, len(p), step):
        genes = slice(start, start + step)
        null = signs @ products[:, genes]
        p[genes] = (1 + np.count_nonzero(null >= products[:, genes].sum(axis=0) - TIED, axis=0)) / (1 + draws)
    return BeyondTrend(observed, np.where(observed.defined, p, 1.0))


def beyond(values: Float, found: Patterns) -> Float:
    """Coefficients of maps ``(t, g)`` on the patterns, of length 1 each; 0 where only a trend is left."""
    places = found.places(np.asarray(values, dtype=np.float64))
    centred = places - places.mean(axis=0)
    whole = (centred**2).sum(axis=0)
    coefficients = found.patterns.T @ centred
    left = (coefficients**2).sum(axis=0)
    kept = (whole > 0) & (left >= LEAST_BEYOND * whole)
    return np.asarray(np.where(kept, coefficients, 0.0) / np.sqrt(np.where(kept, left, 1.0)))
