"""Ridge regression of many genes at once, with holes in the targets and the penalty chosen by exact leave-one-out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float64 = NDArray[np.float64]

ALPHAS: tuple[float, ...] = tuple(float(a) for a in np.logspace(-1, 6, 8))
"""Penalties tried, for features of unit variance (the sum of squares is penalised, as in scikit-learn)."""

_FEWEST_ROWS = 3
"""Below this a gene gets its mean: leave-one-out says nothing on two rows."""


class MaskedRidge:
    """One ridge per gene on the rows where the gene was measured.

    * ``x`` is standardised on all fitted rows (a constant feature becomes 0); the intercept is unpenalised.
    * Genes with the same missing rows share one eigendecomposition.
    * The penalty is chosen **per gene** by the exact leave-one-out squared error (closed form, Allen's PRESS),
      from ``alphas``; of equal errors the larger penalty wins.
    * A gene measured in fewer than three rows predicts its mean, one never measured predicts 0.

    Everything is computed in float64 and nothing is random.
    """

    def __init__(self, alphas: Sequence[float] = ALPHAS) -> None:
        self.alphas = tuple(sorted((float(a) for a in alphas), reverse=True))

    def fit(self, x: ArrayLike, y: ArrayLike) -> MaskedRidge:
        """Fit on ``x`` ``(n, features)`` and ``y`` ``(n, genes)`` with NaN where a value is missing."""
        features, targets = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
        self.x_mean_, self.x_scale_ = standardisation(features)
        z = (features - self.x_mean_) / self.x_scale_
        n_genes = targets.shape[1]
        self.coef_: Float64 = np.zeros((z.shape[1], n_genes))
        self.intercept_: Float64 = np.zeros(n_genes)
        self.alpha_: Float64 = np.full(n_genes, np.nan)
        for rows, genes in missingness_groups(targets):
            if len(rows) == 0:
                continue
            block = targets[np.ix_(rows, genes)]
            if len(rows) < _FEWEST_ROWS:
                self.intercept_[genes] = block.mean(axis=0)
                continue
            coef, intercept, alpha = _fit_complete(z[rows], block, self.alphas)
            self.coef_[:, genes], self.intercept_[genes], self.alpha_[genes] = coef, intercept, alpha
        return self

    def predict(self, x: ArrayLike) -> NDArray[np.float32]:
        """Predictions ``(n, genes)``, float32, finite for finite ``x``."""
        z = (np.asarray(x, dtype=np.float64) - self.x_mean_) / self.x_scale_
        return (z @ self.coef_ + self.intercept_).astype(np.float32)


def standardisation(x: Float64) -> tuple[Float64, Float64]:
    """Mean and SD per column; the SD of a column that is constant up to float32 rounding becomes infinite.

    Dividing by infinity turns such a column into zeros, instead of blowing rounding errors up to unit variance.
    """
    mean, spread = x.mean(axis=0), x.std(axis=0)
    flat = spread <= 1e-6 * np.abs(mean) + 1e-12
    return mean, np.where(flat, np.inf, spread)


def missingness_groups(y: Float64) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield ``(rows measured, genes)`` for every distinct pattern of missing rows, in order of first appearance."""
    seen = np.isfinite(y)
    groups: dict[bytes, list[int]] = {}
    for gene, pattern in enumerate(np.packbits(seen, axis=0).T):
        groups.setdefault(pattern.tobytes(), []).append(gene)
    for genes in groups.values():
        yield np.flatnonzero(seen[:, genes[0]]), np.asarray(genes, dtype=np.int64)


def _fit_complete(z: Float64, y: Float64, alphas: Sequence[float]) -> tuple[Float64, Float64, Float64]:
    """Coefficients ``(features, genes)``, intercepts and chosen penalties ``(genes,)`` without holes in ``y``.

    With ``U, s`` the left singular vectors and squared singular values of the centred features, the fit is
    ``U diag(s / (s + alpha)) U' y`` and the leave-one-out residual is the residual divided by
    ``1 - 1/n - sum_k U_ik^2 s_k / (s_k + alpha)``.
    """
    z_mean, y_mean = z.mean(axis=0), y.mean(axis=0)
    zc, yc = z - z_mean, y - y_mean
    u, s = _left_singular(zc)
    projected, squared = u.T @ yc, u**2
    best = np.full(y.shape[1], np.inf)
    chosen = np.full(y.shape[1], alphas[0])
    for alpha in alphas:
        shrink = s / (s + alpha)
        leverage = 1.0 / len(z) + squared @ shrink
        residual = yc - u @ (shrink[:, None] * projected)
        press = np.square(residual / np.maximum(1.0 - leverage, 1e-12)[:, None]).mean(axis=0)
        better = press < best * (1 - 1e-9)
        best[better], chosen[better] = press[better], alpha
    coef = zc.T @ (u @ (projected / (s[:, None] + chosen)))
    return coef, y_mean - z_mean @ coef, chosen


def _left_singular(z: Float64) -> tuple[Float64, Float64]:
    """Left singular vectors ``(n, k)`` and squared singular values ``(k,)``, from the smaller Gram matrix."""
    wide = z.shape[0] < z.shape[1]
    values, vectors = np.linalg.eigh(z @ z.T if wide else z.T @ z)
    keep = values > max(values[-1], 0.0) * max(z.shape) * np.finfo(np.float64).eps
    values, vectors = values[keep], vectors[:, keep]
    return (vectors if wide else (z @ vectors) / np.sqrt(values)), values
