"""Per-gene agreement of a predicted with a measured expression matrix: Pearson, Spearman, mean squared error.

Matrices are ``(n units, G genes)``; a NaN in the truth means "not measured" and takes that entry out, never
counts as zero. All sums are float64, whatever comes in.

What is undefined, and what is not (one policy for every metric here and for every model):

* truth not measured at all, in fewer than three units, or constant: no correlation exists, whatever the model
  says. The gene is NaN, leaves the mean of EVERY model alike, and is counted.
* prediction constant while the truth varies: the correlation is 0/0, but the model has answered and its answer
  explains nothing. It is defined as 0.0 and counted; leaving it out would reward a model for refusing the
  genes that it finds hard.
* "constant" allows for rounding: a standard deviation below 8 machine epsilons (of the given dtype) of the
  root mean square is float noise, not signal.

A prediction that is not finite where the truth is measured raises :class:`UserError`. Correlations know no scale:
columns whose squares would leave float64 (genes times 1e-300) are brought to a power of two near 1.

Source of the metric: PAST, Methods, "Single-cell gene expression prediction", PCC_gene = mean over genes of
corr(prediction of the gene, truth of the gene). As printed it divides by all d genes and says nothing of an undefined
one; :func:`mean_over_genes` names both readings.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from protocols.errors import UserError
from protocols.metrics.ranks import average_ranks

Float64Array = NDArray[np.float64]
Values = NDArray[Any]

MINIMUM_UNITS = 3
SAFE_POWER = 400
"""Columns whose largest magnitude lies within two to this power, up or down, are squared as they are."""
TILE_GENES, TILE_VALUES = 512, 2**16  # wide, so that memory is read in order; small, so that a tile stays in cache
NOISE_EPSILONS = 8


class State(IntEnum):
    """What became of one gene in one block of units."""

    SCORED = 0
    CONSTANT_PREDICTION = 1
    CONSTANT_TRUTH = 2
    TOO_FEW = 3
    UNMEASURED = 4
    UNTRAINED = 5


DEFINED = (State.SCORED, State.CONSTANT_PREDICTION)


@dataclass(frozen=True)
class GeneScores:
    """Every per-gene metric of one block; arrays ``(G,)``. NaN marks undefined, ``state`` says why."""

    n: NDArray[np.int64]
    pearson: Float64Array
    spearman: Float64Array
    mse: Float64Array
    state: NDArray[np.int8]


class PearsonAccumulator:
    """Pearson r per gene over units that arrive in chunks of any size, in memory that does not grow.

    Each tile is centred on its own mean, and tiles are joined by the pairwise update of means and centred sums
    (Chan, Golub & LeVeque 1983), so chunking does not show (to 1e-12), and an offset of k standard
    deviations costs about k machine epsilons, not k².
    """

    def __init__(self, genes: int) -> None:
        # Rows: count, mean truth, mean prediction, and centred sums truth², prediction², truth·prediction.
        self._moments = np.zeros((6, genes))
        self._epsilon = [float(np.finfo(np.float64).eps)] * 2
        self._peak = np.zeros((2, genes))  # largest magnitude so far, which says at what scale the moments are kept

    def update(self, truth: Values, predicted: Values) -> None:
        """Add units: ``truth`` ``(n, G)`` with NaN where not measured, ``predicted`` ``(n, G)``."""
        _check_shapes(truth, predicted, self._moments.shape[1])
        self._epsilon = [max(e, _epsilon(a)) for e, a in zip(self._epsilon, (truth, predicted), strict=True)]
        power = self._grown(np.stack([magnitudes(truth), magnitudes(predicted)]))
        for rows, genes in _tiles(*truth.shape):
            sides = [scaled(side[rows, genes], by[genes]) for side, by in zip((truth, predicted), power, strict=True)]
            tile = _tile_moments(*sides)
            self._moments[:, genes] = _join(self._moments[:, genes], tile)

    def merge(self, other: PearsonAccumulator) -> None:
        """Add all units that ``other`` has seen (same genes, in the same order)."""
        if other._moments.shape != self._moments.shape:
            raise ValueError(f"{other._moments.shape[1]} genes cannot be merged into {self._moments.shape[1]}")
        self._epsilon = [max(pair) for pair in zip(self._epsilon, other._epsilon, strict=True)]
        power = self._grown(other._peak)
        self._moments = _join(self._moments, _rescaled(other._moments, powers(other._peak) - power))

    def _grown(self, peak: Float64Array) -> NDArray[np.int32]:
        """The power of two ``(2, G)`` by which both sides are divided from now on; what was summed before follows."""
        before, self._peak = powers(self._peak), np.maximum(self._peak, peak)
        power = powers(self._peak)
        self._moments = _rescaled(self._moments, before - power)
        return power

    def spread(self, genes: int, columns: NDArray[np.int64]) -> PearsonAccumulator:
        """The same sums in a table of ``genes`` columns: this gene ``i`` becomes column ``columns[i]``."""
        wide = PearsonAccumulator(genes)
        wide._moments[:, columns] = self._moments
        wide._peak[:, columns] = self._peak
        wide._epsilon = list(self._epsilon)
        return wide

    def states(self) -> NDArray[np.int8]:
        """A :class:`State` code per gene."""
        n, mean_t, mean_p, tt, pp, _ = self._moments
        state = np.full(n.shape, State.SCORED, dtype=np.int8)
        state[_is_constant(pp, mean_p, n, self._epsilon[1])] = State.CONSTANT_PREDICTION
        state[_is_constant(tt, mean_t, n, self._epsilon[0])] = State.CONSTANT_TRUTH
        state[n < MINIMUM_UNITS] = State.TOO_FEW
        state[n == 0] = State.UNMEASURED
        return state

    def result(self) -> tuple[Float64Array, NDArray[np.int64]]:
        """``r (G,)`` (NaN: undefined; 0.0: constant prediction) and the measured units behind it, ``n (G,)``."""
        state = self.states()
        r = np.full(state.shape, np.nan)
        r[state == State.CONSTANT_PREDICTION] = 0.0
        scored = state == State.SCORED
        _, _, _, tt, pp, tp = self._moments[:, scored]
        r[scored] = np.clip(tp / (np.sqrt(tt) * np.sqrt(pp)), -1.0, 1.0)
        return r, self._moments[0].astype(np.int64)


def pearson_per_gene(truth: Values, predicted: Values) -> Float64Array:
    """Pearson r of every gene over the units in which it is measured, ``(G,)``; policy as in the module."""
    return _accumulated(truth, predicted).result()[0]


def spearman_per_gene(truth: Values, predicted: Values) -> Float64Array:
    """Spearman's rank correlation per gene: Pearson r of average ranks (ties share their mean rank), ``(G,)``."""
    return _spearman(truth, predicted, _accumulated(truth, predicted).states())


def mse_per_gene(truth: Values, predicted: Values) -> Float64Array:
    """Mean squared error per gene over its measured units, ``(G,)``, in squared units of the target.

    Defined for a constant truth or prediction too; NaN only where nothing is measured.
    """
    _check_shapes(truth, predicted, truth.shape[1])
    total, n = np.zeros(truth.shape[1]), np.zeros(truth.shape[1])
    for rows, genes in _tiles(*truth.shape):
        with np.errstate(invalid="ignore"):
            error = truth[rows, genes].astype(np.float64) - predicted[rows, genes]
        seen = ~np.isnan(truth[rows, genes])
        error *= error
        error[~seen] = 0.0
        n[genes] += seen.sum(axis=0)
        total[genes] += error.sum(axis=0)
    if not np.isfinite(total).all():
        raise _not_finite()
    mse: Float64Array = np.divide(total, n, out=np.full(n.shape, np.nan), where=n > 0)
    return mse


def score_genes(truth: Values, predicted: Values) -> GeneScores:
    """Pearson, Spearman and mean squared error of every gene of one block of units."""
    accumulator = _accumulated(truth, predicted)
    r, n = accumulator.result()
    state = accumulator.states()
    return GeneScores(n, r, _spearman(truth, predicted, state), mse_per_gene(truth, predicted), state)


def mean_over_genes(r: Float64Array, undefined: Literal["exclude", "zero", "poison"] = "exclude") -> float | None:
    """Mean of per-gene values; None where it does not exist.

    ``"exclude"`` (the default here) leaves undefined genes out. PAST's printed formula divides by all d genes:
    an undefined one then either counts as 0 (``"zero"``), which lowers every model on a sparse panel, or makes the
    whole mean undefined (``"poison"``, also what a plain mean over scipy's values gives).
    """
    undefined_genes = np.isnan(r)
    if not r.size or (undefined == "poison" and undefined_genes.any()):
        return None
    if undefined == "zero":
        return float(np.where(undefined_genes, 0.0, r).mean())
    return None if undefined_genes.all() else float(r[~undefined_genes].mean())


def _accumulated(truth: Values, predicted: Values) -> PearsonAccumulator:
    accumulator = PearsonAccumulator(truth.shape[1])
    accumulator.update(truth, predicted)
    return accumulator


def _spearman(truth: Values, predicted: Values, state: NDArray[np.int8]) -> Float64Array:
    """The states come from the values, because ranks would blow float noise up to full size."""
    rho = np.full(state.shape, np.nan)
    rho[state == State.CONSTANT_PREDICTION] = 0.0
    scored = np.flatnonzero(state == State.SCORED)
    step = max(1, 2**21 // max(1, len(truth)))  # flat memory for a million units
    for start in range(0, len(scored), step):
        genes = scored[start : start + step]
        t, p = truth[:, genes], predicted[:, genes]
        hole = np.isnan(t)
        if hole.any():
            p = np.where(hole, np.nan, p)
        rho[genes] = pearson_per_gene(average_ranks(t), average_ranks(p))
    return rho


def magnitudes(values: Values) -> Float64Array:
    """The largest finite magnitude of each column, ``(G,)``; 0 where the type itself is too narrow to leave float64."""
    if not np.issubdtype(values.dtype, np.floating) or values.dtype.itemsize < 8 or not len(values):
        return np.zeros(values.shape[1])
    high, low = np.nanmax(values, axis=0, initial=0.0), np.nanmin(values, axis=0, initial=0.0)
    peak = np.maximum(high, -low)
    return np.where(np.isfinite(peak), peak, 0.0)


def powers(peak: Float64Array) -> NDArray[np.int32]:
    """The power of two of each magnitude whose square is not safe, 0 for all others: these keep every bit."""
    power = np.frexp(peak)[1]
    return np.where((peak > 0) & (np.abs(power) > SAFE_POWER), power, 0).astype(np.int32)


def scaled(values: Values, power: NDArray[np.int32]) -> Values:
    """Columns divided by two to ``power (G,)``: exact, and the array itself where there is nothing to do."""
    return np.ldexp(values, -power) if power.any() else values


def _rescaled(moments: Float64Array, power: NDArray[np.int32]) -> Float64Array:
    """Moments ``(6, G)`` of the two sides times two to ``power (2, G)``."""
    if not power.any():
        return moments
    none, (t, p) = np.zeros_like(power[0]), power
    return np.asarray(np.ldexp(moments, np.stack([none, t, p, 2 * t, 2 * p, t + p])), dtype=np.float64)


def _tiles(rows: int, genes: int) -> Iterator[tuple[slice, slice]]:
    width = -(-genes // -(-genes // TILE_GENES)) if genes else 1  # equal tiles, none of them a narrow rest
    height = max(1, TILE_VALUES // width)
    for first_gene in range(0, genes, width):
        for first_row in range(0, rows, height):
            yield slice(first_row, first_row + height), slice(first_gene, first_gene + width)


def _tile_moments(truth: Values, predicted: Values) -> Float64Array:
    """The six moments ``(6, g)`` of one tile ``(rows, g)``."""
    t, p = truth.astype(np.float64), predicted.astype(np.float64)
    ones = np.ones(len(t))
    with np.errstate(invalid="ignore"):  # what is not finite is found below, and named
        mean_t = ones @ t / len(t)
    holes = np.flatnonzero(np.isnan(mean_t))  # only columns with a hole pay for masks
    count = np.full(t.shape[1], float(len(t)))
    if len(holes):
        unseen = np.isnan(t[:, holes])
        t[:, holes] = np.where(unseen, 0.0, t[:, holes])
        p[:, holes] = np.where(unseen, 0.0, p[:, holes])
        count[holes] = (~unseen).sum(axis=0)
        mean_t[holes] = ones @ t[:, holes] / np.maximum(count[holes], 1.0)
    with np.errstate(invalid="ignore"):
        mean_p = ones @ p / np.maximum(count, 1.0)
    if not np.isfinite(mean_p).all():
        raise _not_finite()
    t -= mean_t
    p -= mean_p
    if len(holes):
        t[:, holes] = np.where(unseen, 0.0, t[:, holes])
        p[:, holes] = np.where(unseen, 0.0, p[:, holes])
    sums = [np.einsum("ij,ij->j", a, b) for a, b in ((t, t), (p, p), (t, p))]
    return np.stack([count, mean_t, mean_p, *sums])


def _join(a: Float64Array, b: Float64Array) -> Float64Array:
    """Moments of two disjoint sets of units together."""
    n_a, mean_ta, mean_pa, tt_a, pp_a, tp_a = a
    n_b, mean_tb, mean_pb, tt_b, pp_b, tp_b = b
    n = n_a + n_b
    share = n_b / np.maximum(n, 1.0)
    weight = n_a * share
    step_t, step_p = mean_tb - mean_ta, mean_pb - mean_pa
    return np.stack(
        [
            n,
            mean_ta + step_t * share,
            mean_pa + step_p * share,
            tt_a + tt_b + step_t * step_t * weight,
            pp_a + pp_b + step_p * step_p * weight,
            tp_a + tp_b + step_t * step_p * weight,
        ]
    )


def _is_constant(
    centred_squares: Float64Array, mean: Float64Array, n: Float64Array, epsilon: float
) -> NDArray[np.bool_]:
    variance = centred_squares / np.maximum(n, 1.0)
    constant: NDArray[np.bool_] = variance <= (NOISE_EPSILONS * epsilon) ** 2 * (variance + mean * mean)
    return constant


def _epsilon(values: Values) -> float:
    return float(np.finfo(values.dtype if np.issubdtype(values.dtype, np.floating) else np.float64).eps)


def _check_shapes(truth: Values, predicted: Values, genes: int) -> None:
    if truth.ndim != 2 or truth.shape != predicted.shape or truth.shape[1] != genes:
        raise UserError(
            f"truth {truth.shape} and prediction {predicted.shape} do not match",
            where="the predictions",
            expected=f"both (units, {genes} genes)",
            remedy="predict every gene of the fold for every test unit, in the order given",
        )


def _not_finite() -> UserError:
    return UserError(
        "a predicted value is NaN or infinite",
        where="the predictions",
        expected="finite values for every measured gene",
        remedy="mend the model's predict()",
    )
