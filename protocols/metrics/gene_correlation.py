"""Bulk expression, predicted and measured, gene by gene: Pearson r and its p-value, errors, top genes.

Matrices are ``(n units, g genes)``, finite throughout; sums are float64 and run over blocks of genes, so that memory
stays flat. Undefined values, in one policy:

* a constant column (truth or prediction; "constant" as in :mod:`protocols.metrics.correlation`, up to rounding), or
  fewer than three units: r is 0 and flagged. Here a gene is a candidate to be called well predicted, and such a gene
  is none; :mod:`protocols.metrics.correlation`, whose r are averaged, takes a constant truth out as NaN instead.
* a value that is not finite raises :class:`UserError`.

Correlations know no scale: genes times 1e-300 have the same r (:func:`protocols.metrics.correlation.powers`).

Source: SEQUOIA, Methods, "Identification of well-predicted genes", Tables A4 and A5, Fig. A2, and its released code.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from protocols.errors import UserError
from protocols.metrics.correlation import (
    MINIMUM_UNITS,
    NOISE_EPSILONS,
    Float64Array,
    Values,
    magnitudes,
    powers,
    scaled,
)

Bool = NDArray[np.bool_]
BLOCK_VALUES = 2**16  # of one matrix at a time: the blocks of three stay in cache
NARROWEST_BLOCK = 16  # genes; narrower ones read memory in splinters
TOP_GENES = 1000
IQR_OFFSET = 1e-5  # of the released code, so that a gene without spread has a finite error


class Correlation(NamedTuple):
    """``r (g,)``, 0 where ``constant (g,)``: truth or prediction does not vary, or there are under three units."""

    r: Float64Array
    constant: Bool


@dataclass(frozen=True)
class Moments:
    """What correlations and errors of ``k`` matrices ``(units, g)`` are made of.

    ``mean (k, g)``, centred sums of ``products (k, k, g)``, which columns are ``constant (k, g)``, and ``rmse (k, g)``,
    the root mean squared difference between each matrix and the first. ``mean`` and ``products`` are of columns divided
    by two to ``power (k, g)``, which is 0 but where squares would leave float64; ``rmse`` is in the unit given.
    """

    units: int
    mean: Float64Array
    products: Float64Array
    constant: NDArray[np.bool_]
    rmse: Float64Array
    power: NDArray[np.int32]

    def correlation(self, i: int, j: int) -> Correlation:
        """Pearson r between matrices ``i`` and ``j``, per gene."""
        constant = self.constant[i] | self.constant[j]
        scale = np.sqrt(self.products[i, i]) * np.sqrt(self.products[j, j])
        r = np.divide(self.products[i, j], scale, out=np.zeros_like(scale), where=~constant)
        return Correlation(np.clip(r, -1.0, 1.0), constant)


class FoldMean(NamedTuple):
    """``r (g,)``, mean over the ``folds (g,)`` in which the gene's r is defined; 0 where there is none."""

    r: Float64Array
    folds: NDArray[np.int64]


class RootMeanSquaredError(NamedTuple):
    """Per gene, ``(g,)``: error, in units of the truth, and relative to two scales of the truth.

    ``by_mean`` is NaN where ``mean_is_zero``: there is nothing to be relative to.
    """

    rmse: Float64Array
    by_interquartile_range: Float64Array
    by_mean: Float64Array
    mean_is_zero: Bool


class TopMedian(NamedTuple):
    """Median r of the top genes: chosen by the very r whose median it is, or by another; and how many they are."""

    as_published: float
    honest: float | None
    genes: int


class MannWhitney(NamedTuple):
    """``u``, its one-sided ``p``, and ``share``: how often a gene of the first beats one of the second."""

    u: float
    p: float
    share: float


def moments(matrices: Sequence[Values]) -> Moments:
    """Everything that correlations and errors are made of, in one pass over ``k`` matrices ``(n, g)``."""
    n, genes = _common_shape(matrices)
    k = len(matrices)
    products, mean, rmse = np.zeros((k, k, genes)), np.zeros((k, genes)), np.zeros((k, genes))
    power, rmse_power = np.stack([powers(magnitudes(m)) for m in matrices]), np.zeros((k, genes), dtype=np.int32)
    equal = np.ones((k, genes), dtype=bool)  # every value the same, which rounding of the mean can hide
    ones = np.ones(n)
    for block in _blocks(n, genes):
        columns = [m[:, block].astype(np.float64) for m in matrices]
        with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is found below, and named
            for i, c in enumerate(columns):
                if i:
                    gap = c - columns[0]
                    rmse_power[i, block] = powers(magnitudes(gap))
                    gap = scaled(gap, rmse_power[i, block])
                    rmse[i, block] = np.einsum("ij,ij->j", gap, gap)
                equal[i, block] = (c == c[:1]).all(axis=0)
            columns = [scaled(c, by[block]) for c, by in zip(columns, power, strict=True)]
            for i, c in enumerate(columns):
                mean[i, block] = ones @ c / max(n, 1)
                c -= mean[i, block]
                for j in range(i + 1):
                    products[i, j, block] = products[j, i, block] = np.einsum("ij,ij->j", c, columns[j])
    if not np.isfinite(products).all() or not np.isfinite(rmse).all():
        raise _refused("a value is NaN, infinite or too far from another", "finite values")
    constant = equal | _constant(products, mean, n, matrices)
    return Moments(n, mean, products, constant, np.ldexp(np.sqrt(rmse / max(n, 1)), rmse_power), power)


def correlate(truth: Values, predicted: Values) -> Correlation:
    """Pearson r per gene over all units, with the constant genes flagged."""
    return moments((truth, predicted)).correlation(0, 1)


def pearson_per_gene(truth: Values, predicted: Values) -> Float64Array:
    """Pearson r per gene, ``(g,)``; 0 where :func:`correlate` flags the gene."""
    return correlate(truth, predicted).r


def pearson_p(r: Float64Array, n: int) -> Float64Array:
    """Two-sided p-value of ``r (g,)`` over ``n`` units, exact for normal data: Student's t with n - 2 degrees.

    Written as the incomplete beta function of (1 - |r|) / 2, which keeps tails that 1 - F(t) rounds to zero, and
    |r| = 1. Two units or fewer say nothing: p = 1. The units must be independent: slides of one patient are not.
    """
    r = np.asarray(r, dtype=np.float64)
    if not (np.abs(r) <= 1).all():
        raise _refused("a correlation is NaN or outside [-1, 1]", "correlations")
    if n < MINIMUM_UNITS:
        return np.ones_like(r)
    half = n / 2 - 1
    return np.asarray(np.minimum(2 * special.betainc(half, half, (1 - np.abs(r)) / 2), 1.0), dtype=np.float64)


def per_fold_mean(truth: Values, predicted: Values, fold: NDArray[Any]) -> FoldMean:
    """r within each fold, averaged over the folds in which it is defined.

    A fold counts for a gene if it has three units and the gene's truth varies in it; a constant prediction is an
    answer that explains nothing and counts as 0. Pooled over folds instead, a model that predicts the mean of its
    training fold has r < 0, since that mean is low where the held-out patients are high.
    """
    _common_shape((truth, predicted))
    _check_labels(fold, len(truth), "a fold")
    total, folds = np.zeros(truth.shape[1]), np.zeros(truth.shape[1], dtype=np.int64)
    for name in np.unique(fold):
        rows = np.flatnonzero(fold == name)
        of_fold = moments((truth[rows], predicted[rows]))
        total += of_fold.correlation(0, 1).r
        folds += ~of_fold.constant[0]
    return FoldMean(total / np.maximum(folds, 1), folds)


def mean_by_patient(values: Values, patient: NDArray[Any]) -> tuple[NDArray[Any], Values]:
    """The patients, sorted, and the mean ``(m, g)`` of each one's slides ``(n, g)``.

    Patients are the unit by default: slides of one patient share one expression profile, so that counting them as
    units, as the released code does (GBM: 236 slides of 101 patients), makes every p-value too small. Summed in
    float64, returned in the floating type given, so that what is rounding noise in it is still known as such.
    """
    values = np.asarray(values)
    _common_shape((values,))
    _check_labels(patient, len(values), "a patient")
    patients, first, slides = np.unique(np.sort(patient), return_index=True, return_counts=True)
    order = np.argsort(patient, kind="stable")
    floating = values.dtype if np.issubdtype(values.dtype, np.floating) else np.dtype(np.float64)
    means = np.empty((len(patients), values.shape[1]), dtype=floating)
    for block in _blocks(*values.shape):
        sums = np.add.reduceat(values[:, block][order], first, axis=0, dtype=np.float64)
        means[:, block] = sums / slides[:, None]
    return patients, means


def root_mean_squared_error(truth: Values, predicted: Values) -> RootMeanSquaredError:
    """Root mean squared error per gene, and divided by interquartile range + 1e-5 and by the mean of the truth."""
    rmse = moments((truth, predicted)).rmse[1]
    n, genes = truth.shape
    if not n:
        raise _refused("no unit", "at least one")
    spread, mean = np.empty(genes), np.empty(genes)
    for block in _blocks(n, genes):
        columns = truth[:, block].astype(np.float64)
        low, high = np.quantile(columns, (0.25, 0.75), axis=0)
        spread[block], mean[block] = high - low, columns.mean(axis=0)
    zero = mean == 0
    by_mean = np.divide(rmse, mean, out=np.full(genes, np.nan), where=~zero)
    return RootMeanSquaredError(rmse, rmse / (spread + IQR_OFFSET), by_mean, zero)


def top_genes(r: Float64Array, count: int = TOP_GENES) -> NDArray[np.int64]:
    """Indices of the ``count`` genes of highest r, or of all if there are fewer; of equal ones, the first."""
    return np.argsort(-np.asarray(r, dtype=np.float64), kind="stable")[: max(count, 0)]


def top_median(r: Float64Array, chosen: NDArray[Any]) -> float:
    """Median r of the chosen genes (bool ``(g,)``, or indices)."""
    picked = np.asarray(r, dtype=np.float64)[chosen]
    if not picked.size or not np.isfinite(picked).all():
        raise _refused("no gene is chosen, or one has no r", "at least one gene, each with its r")
    return float(np.median(picked))


def top_medians(r: Float64Array, chosen_by: Float64Array | None = None, count: int = TOP_GENES) -> TopMedian:
    """Median test r of the top ``count`` genes: chosen on the same r as in Table A5, and by ``chosen_by (g,)``.

    Choosing on the data that are scored makes noise look like skill: with no signal at all, 100 patients and 20,000
    genes, the top 1,000 have a median r near 0.2. ``chosen_by`` is each gene's r on other data: training folds.
    """
    published, honest = top_genes(r, count), None
    if chosen_by is not None:
        if np.shape(chosen_by) != np.shape(r):
            raise _refused(f"{np.size(chosen_by)} genes to choose by, {np.size(r)} to score", "one r a gene in both")
        honest = top_median(r, top_genes(chosen_by, count))
    return TopMedian(top_median(r, published), honest, len(published))


def mann_whitney(r_a: Float64Array, r_b: Float64Array) -> MannWhitney:
    """Are a model's r larger than another's? One-sided Mann-Whitney U test over genes, as in Fig. A2.

    Genes are co-expressed, so they are not independent, and the same patients stand behind both models: p is
    descriptive, usually absurdly small, and no evidence; ``share`` is the effect. All values equal: p = 1.
    """
    from scipy.stats import mannwhitneyu

    a, b = np.asarray(r_a, dtype=np.float64), np.asarray(r_b, dtype=np.float64)
    if not a.size or not b.size or not np.isfinite(a).all() or not np.isfinite(b).all():
        raise _refused("no r, or one that is not finite", "finite r of at least one gene for both models")
    if a.min() == a.max() == b.min() == b.max():
        return MannWhitney(a.size * b.size / 2, 1.0, 0.5)
    found = mannwhitneyu(a, b, alternative="greater")
    u = float(found.statistic)
    return MannWhitney(u, float(found.pvalue), u / (a.size * b.size))


def _blocks(rows: int, genes: int) -> Iterator[slice]:
    width = max(NARROWEST_BLOCK, BLOCK_VALUES // max(rows, 1))
    for start in range(0, genes, width):
        yield slice(start, start + width)


def _constant(products: Float64Array, mean: Float64Array, n: int, matrices: Sequence[Values]) -> NDArray[np.bool_]:
    """Constant up to rounding, by the rule of :mod:`protocols.metrics.correlation`; ``(k, g)``."""
    types = [m.dtype if np.issubdtype(m.dtype, np.floating) else np.float64 for m in matrices]
    noise = NOISE_EPSILONS * np.array([[float(np.finfo(t).eps)] for t in types])
    variance = np.einsum("iij->ij", products) / max(n, 1)
    constant: NDArray[np.bool_] = (variance <= noise**2 * (variance + mean * mean)) | (n < MINIMUM_UNITS)
    return constant


def _common_shape(matrices: Sequence[Values]) -> tuple[int, int]:
    shapes = [np.shape(m) for m in matrices]
    if len(shapes[0]) != 2 or len(set(shapes)) != 1:
        found = ", ".join(map(str, shapes))
        raise _refused(f"shapes {found} do not match", "matrices of one shape, (units, genes)")
    return shapes[0][0], shapes[0][1]


def _check_labels(labels: NDArray[Any], rows: int, kind: str) -> None:
    known = [label is not None and label != "" and label == label for label in np.asarray(labels).tolist()]
    if len(known) != rows or not all(known):
        raise _refused(f"{sum(known)} of {rows} units have {kind}", f"{kind} for every unit, in the same order")


def _refused(what: str, expected: str) -> UserError:
    return UserError(what, where="expression by gene", expected=expected, remedy="mend the table or the predictions")
