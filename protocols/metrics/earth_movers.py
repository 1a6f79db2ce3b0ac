"""Earth Mover's Distance between two maps of one section: the least work that turns one into the other.

A map is float64 ``(h, w)`` on the section's tile grid, ``tissue`` bool ``(h, w)``. Mass is the value on tissue and zero
off it, divided by its sum; the ground distance is Euclidean, in tiles. Source: SEQUOIA, Methods, "Earth Mover's
Distance" (``cv2.EMD`` on percentile scores; Rubner, Tomasi & Guibas, IJCV 2000).

Variants, where paper, released code and the exact answer differ:

* ``solver="exact"`` (default): POT's network simplex in float64. ``"cv2"``: OpenCV's solver, as published. It agrees to
  float32 up to some 16 x 16 tiles; on larger maps it reaches its limit of 500 pivots and returns the plan at hand
  without a word, which costs per cents more than the optimum at 25 x 25, and more the larger the map.
* Negative values: a map whose least value on tissue is below zero is raised by its size, on tissue. The released code
  raises whole dense arrays by the size of their least value, hence background too where a value is negative, and a
  section that fills its rectangle by its least value even if positive. Percentile scores with background are alike.
* :func:`normalised` names three scales. None of them is bounded by 1, whatever the paper says.

This distance hardly tells maps apart: a constant map scores no worse than independent noise, since it is near to
everything. It belongs beside correlations and controls, never alone.
"""

from __future__ import annotations

import importlib
import os
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from protocols.errors import UserError, look_up

if TYPE_CHECKING:
    from protocols.metrics.spatial_maps import TileGrid

__all__ = ["Normalisation", "Solver", "earth_movers_distance", "earth_movers_of_genes", "normalised"]

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]
Solver = Literal["exact", "cv2"]
Normalisation = Literal["sqrt_tiles", "released_area", "none"]

MOST_PIVOTS = 10**8
"""A stop against running for ever: some hundred times what maps of 50 x 50 tiles need."""
ROUNDING = 4 * float(np.finfo(np.float64).eps)
"""Masses that differ by less than this share of the largest are equal: what is left is rounding of the division."""


def earth_movers_distance(predicted: Float, truth: Float, tissue: Bool, *, solver: Solver = "exact") -> float | None:
    """Work, in tiles, that turns ``predicted`` into ``truth``. No mass in both: 0.0; in one of them alone: None.

    A value that is not finite on tissue, or a shape that differs, raises :class:`UserError`; a solver that does not
    reach the optimum raises :class:`RuntimeError`.
    """
    if tissue.ndim != 2 or predicted.shape != tissue.shape or truth.shape != tissue.shape:
        raise _shapes(predicted, truth, f"maps and tissue of one shape (h, w), tissue is {tissue.shape}")
    solve = look_up(solver, _SOLVERS, kind="solver", where="Earth Mover's Distance")
    places = np.argwhere(tissue).astype(np.float64)
    return _distance(predicted[tissue], truth[tissue], places, solve)


def earth_movers_of_genes(
    predicted: Float, truth: Float, grid: TileGrid, *, solver: Solver = "exact"
) -> tuple[float | None, ...]:
    """:func:`earth_movers_distance` of every gene of one section; both matrices ``(t tiles, g genes)``."""
    if predicted.ndim != 2 or predicted.shape != truth.shape or len(predicted) != len(grid.row):
        raise _shapes(predicted, truth, f"both ({len(grid.row)} tiles, genes)")
    solve = look_up(solver, _SOLVERS, kind="solver", where="Earth Mover's Distance")
    places = np.column_stack([grid.row, grid.column]).astype(np.float64)
    return tuple(_distance(p, t, places, solve) for p, t in zip(predicted.T, truth.T, strict=True))


def normalised(distance: float | None, tissue: Bool, by: Normalisation = "sqrt_tiles") -> float | None:
    """A distance on a scale that maps of different size share; None stays None.

    ``"sqrt_tiles"``: over the root of the number of tissue tiles, which gave the published figures (found in the
    released code's history alone). ``"released_area"``: the last release writes rows x rows where rows x columns is
    meant and takes its root; its arrays hold x first, so those "rows" are this grid's columns. ``"none"``: in tiles.
    """
    scale = look_up(by, _SCALES, kind="normalisation", where="Earth Mover's Distance")(tissue)
    return None if distance is None else distance / scale if scale else 0.0


_SCALES: dict[str, Callable[[Bool], float]] = {
    "sqrt_tiles": lambda tissue: float(np.sqrt(np.count_nonzero(tissue))),
    "released_area": lambda tissue: float(tissue.shape[1]),
    "none": lambda _: 1.0,
}


def _distance(predicted: Float, truth: Float, places: Float, solve: Callable[..., float]) -> float | None:
    """Of values on the tissue tiles ``(t,)`` at ``places (t, 2)``."""
    p, t = _mass(predicted, "the predicted map"), _mass(truth, "the true map")
    if p is None or t is None:
        return 0.0 if p is t else None
    return solve(p, t, places)


def _mass(values: Float, where: str) -> Float | None:
    values = np.asarray(values, dtype=np.float64)
    if not np.isfinite(values).all():
        raise UserError(
            "a value on tissue is NaN or infinite",
            where=where,
            expected="finite values",
            remedy="leave tiles without a value out of the grid",
        )
    lowest = values.min(initial=0.0)
    if lowest < 0:
        values = values - lowest
    highest = values.max(initial=0.0)
    if highest == 0:
        return None
    values = values / highest  # so that no sum overflows or is lost
    mass: Float = values / values.sum()
    return mass


def _exact(predicted: Float, truth: Float, places: Float) -> float:
    """Network simplex on the differences alone: under a metric, mass that both maps share need not move.

    Ground distances are computed anew, as cutting them out of a kept matrix takes as long and holds t² numbers.
    """
    from scipy.spatial.distance import cdist

    difference = predicted - truth
    noise = ROUNDING * max(predicted.max(), truth.max())
    over, under = difference > noise, difference < -noise
    if not over.any() or not under.any():
        return 0.0
    supply, demand = difference[over], -difference[under]
    moved = float(supply.sum())
    with warnings.catch_warnings():  # POT warns where it fails; its own code for it is raised below
        warnings.simplefilter("ignore")
        work, log = _pot().emd2(
            supply / moved,
            demand / demand.sum(),
            cdist(places[over], places[under]),
            numItermax=MOST_PIVOTS,
            log=True,
        )
    if log["warning"] is not None:
        raise RuntimeError(f"network simplex did not reach the optimum: {log['warning']}")
    return float(work) * moved


def _opencv(predicted: Float, truth: Float, places: Float) -> float:
    cv2: Any = importlib.import_module("cv2")
    signatures = [np.column_stack([mass, places]).astype(np.float32) for mass in (predicted, truth)]
    return float(cv2.EMD(*signatures, cv2.DIST_L2)[0])


_SOLVERS: dict[str, Callable[[Float, Float, Float], float]] = {"exact": _exact, "cv2": _opencv}

_UNUSED_BACKENDS = tuple(f"POT_BACKEND_DISABLE_{name}" for name in ("PYTORCH", "JAX", "CUPY", "TENSORFLOW"))


def _pot() -> Any:
    """POT's solvers. It would import every array library there is, torch first, seconds of work that NumPy spares."""
    before = {name: os.environ.get(name) for name in _UNUSED_BACKENDS}
    os.environ.update(dict.fromkeys(_UNUSED_BACKENDS, "1"))
    try:
        return importlib.import_module("ot")
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value


def _shapes(predicted: Float, truth: Float, expected: str) -> UserError:
    return UserError(
        f"prediction {predicted.shape} and truth {truth.shape} do not fit",
        where="Earth Mover's Distance",
        expected=expected,
        remedy="put both on the section's tile grid",
    )
