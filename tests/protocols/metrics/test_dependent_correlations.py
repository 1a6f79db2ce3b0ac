"""Williams' t and Steiger's Z: known values, other algebraic forms of both, their level under the null, the edges."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from protocols.errors import UserError
from protocols.metrics.dependent_correlations import steiger_z, williams_t
from protocols.metrics.gene_correlation import moments

TESTS = pytest.mark.parametrize("test", [williams_t, steiger_z])
R = st.floats(-0.99, 0.99)


def matrix(r1: float, r2: float, r12: float) -> np.ndarray:
    return np.array([[1, r1, r2], [r1, 1, r12], [r2, r12, 1]])


def williams_by_the_book(r1: float, r2: float, r12: float, n: int) -> tuple[float, float]:
    """With the determinant taken by elimination, and the fraction multiplied out by (n - 3) / (n - 1)."""
    cube = (1 - r12) ** 3 * ((r1 + r2) / 2) ** 2 * (n - 3) / (n - 1)
    t = (r1 - r2) * ((n - 3) * (1 + r12) / (2 * np.linalg.det(matrix(r1, r2, r12)) + cube)) ** 0.5
    return t, float(stats.t.sf(t, n - 3))


def pearson_filon(rho: np.ndarray, j: int, k: int, h: int, m: int) -> float:
    """Asymptotic covariance of any two correlations of a table (Pearson & Filon 1898), times n."""
    return 0.5 * (
        (rho[j, h] - rho[j, k] * rho[k, h]) * (rho[k, m] - rho[k, h] * rho[h, m])
        + (rho[j, m] - rho[j, h] * rho[h, m]) * (rho[k, h] - rho[k, j] * rho[j, h])
        + (rho[j, h] - rho[j, m] * rho[m, h]) * (rho[k, m] - rho[k, j] * rho[j, m])
        + (rho[j, m] - rho[j, k] * rho[k, m]) * (rho[k, h] - rho[k, m] * rho[m, h])
    )


def steiger_by_the_book(r1: float, r2: float, r12: float, n: int) -> tuple[float, float]:
    """The covariance of z1 and z2 is that of the correlations, by the general formula, over their variances."""
    pooled = (r1 + r2) / 2
    covariance = pearson_filon(matrix(pooled, pooled, r12), 0, 1, 0, 2) / (1 - pooled**2) ** 2
    z = (np.log((1 + r1) / (1 - r1)) - np.log((1 + r2) / (1 - r2))) / 2 * ((n - 3) / (2 - 2 * covariance)) ** 0.5
    return z, float(stats.norm.sf(z))


BOOK = {williams_t: williams_by_the_book, steiger_z: steiger_by_the_book}


@pytest.mark.parametrize(
    ("given_", "t", "p"), [((0.3, 0.05, 0.1, 500), 4.329, 9.06e-6), ((0.15, 0.0, 0.0, 236), 1.635, 0.0517)]
)
def test_values_of_the_released_implementation(given_: tuple[float, float, float, int], t: float, p: float) -> None:
    for alternative in ("greater", "released_absolute"):
        found = williams_t(*given_, alternative=alternative)  # type: ignore[arg-type]
        assert found.statistic == pytest.approx(t, abs=5e-4)
        assert found.p == pytest.approx(p, rel=1e-3)


def test_steiger_by_hand() -> None:
    # r̄ = 0 and r12 = 0 leave the two z independent: Z = 2 artanh(r) √(n-3) / √2
    assert steiger_z(0.2, -0.2, 0.0, 103).statistic == pytest.approx(2 * np.arctanh(0.2) * 10 / np.sqrt(2), rel=1e-14)
    # r̄ = 1/2, r12 = 1/2: ψ = 1/4 - (1/4)(1/4)/2 = 7/32, s = (7/32) / (9/16) = 7/18
    difference = np.arctanh(0.6) - np.arctanh(0.4)
    assert steiger_z(0.6, 0.4, 0.5, 103).statistic == pytest.approx(difference * 10 / np.sqrt(11 / 9), rel=1e-13)


@TESTS
@settings(max_examples=200, deadline=None)
@given(R, R, R, st.integers(4, 2000))
def test_equals_the_other_form(test, r1: float, r2: float, r12: float, n: int) -> None:
    assume(np.linalg.eigvalsh(matrix(r1, r2, r12))[0] > 1e-3)
    statistic, p = BOOK[test](r1, r2, r12, n)
    found = test(r1, r2, r12, n)
    assert found.statistic == pytest.approx(statistic, rel=1e-10, abs=1e-13)
    assert found.p == pytest.approx(p, rel=1e-7, abs=1e-300)


@TESTS
def test_many_genes_are_each_their_own(test) -> None:
    rng = np.random.default_rng(0)
    r1, r2, r12 = rng.uniform(-0.5, 0.5, (3, 200))
    expected = np.array([BOOK[test](*row, 90) for row in zip(r1, r2, r12, strict=True)])
    found = test(r1, r2, r12, 90)
    assert found.statistic == pytest.approx(expected[:, 0], rel=1e-12)
    assert found.p == pytest.approx(expected[:, 1], rel=1e-12)


@TESTS
def test_level_under_the_null(test) -> None:
    """Equal true correlations: a twentieth of p is below .05, also with few units and related predictions."""
    rng, n, genes = np.random.default_rng(1), 30, 20_000
    root = np.linalg.cholesky(matrix(0.3, 0.3, 0.5))
    drawn = moments(list(np.einsum("ij,jng->ing", root, rng.normal(size=(3, n, genes)))))
    r = [drawn.correlation(i, j).r for i, j in ((0, 1), (0, 2), (1, 2))]
    p = test(*r, n).p
    assert (p < 0.05).mean() == pytest.approx(0.05, abs=0.006)
    assert (p < 0.5).mean() == pytest.approx(0.5, abs=0.015)
    assert (test(*r, n, "two-sided").p < 0.05).mean() == pytest.approx(0.05, abs=0.006)
    # One tail of whichever direction the data point: twice the level
    assert (test(*r, n, "released_absolute").p < 0.05).mean() == pytest.approx(0.1, abs=0.01)


@TESTS
def test_alternatives(test) -> None:
    up, down = (test(*r, 0.2, 80) for r in ((0.4, 0.1), (0.1, 0.4)))
    assert down.statistic == pytest.approx(-up.statistic)
    assert up.p + down.p == pytest.approx(1)
    assert up.p < 0.05 < 0.9 < down.p
    for r in ((0.4, 0.1), (0.1, 0.4)):
        assert test(*r, 0.2, 80, "released_absolute").p == pytest.approx(up.p)
        assert test(*r, 0.2, 80, "two-sided").p == pytest.approx(2 * up.p)
    with pytest.raises(UserError, match="did you mean 'greater'"):
        test(0.1, 0.0, 0.0, 80, "grater")


@TESTS
@pytest.mark.parametrize(
    ("r1", "r2", "r12", "n"),
    [
        (0.3, 0.3, 1.0, 100),  # the same prediction twice
        (0.3 + 1e-14, 0.3, 1 - 1e-14, 100),  # the same, up to rounding
        (0.0, 0.0, 1.0, 100),
        (1.0, 1.0, 1.0, 100),
        (0.9, -0.9, 0.99, 100),  # no data have these, nor the next
        (0.9, 0.2, 0.99, 100),
        (0.9, 0.1, 0.5, 3),
        (0.9, 0.1, 0.5, 0),
    ],
)
def test_without_a_test_p_is_one(test, r1: float, r2: float, r12: float, n: int) -> None:
    for alternative in ("greater", "two-sided", "released_absolute"):
        assert test(r1, r2, r12, n, alternative) == (0, 1)


@TESTS
def test_a_perfect_prediction_is_finite_and_significant(test) -> None:
    found = test(1.0, 0.2, 0.2, 50)
    assert np.isfinite(found.statistic)
    assert found.p < 1e-6
    assert test(0.2, 1.0, 0.2, 50).p > 1 - 1e-6


@TESTS
def test_nothing_is_ever_nan(test) -> None:
    edge = np.array([-1, -1 + 1e-16, -0.5, -1e-300, 0, 1e-13, 0.5, 1 - 1e-16, 1 - 1e-13, 1])
    r1, r2, r12 = (axis.ravel() for axis in np.meshgrid(edge, edge, edge))
    for n in (0, 1, 2, 3, 4, 5, 10**6):
        found = test(r1, r2, r12, n)
        assert np.isfinite(found.statistic).all()
        assert ((found.p >= 0) & (found.p <= 1)).all()


@pytest.mark.parametrize("apart", [1e-3, 1e-6, 1e-9, 1e-11])
def test_nearly_equal_predictions_keep_their_digits(apart: float) -> None:
    """Against the printed formulas in exact fractions; in floats their determinant would be all rounding."""
    r1, r2, r12, n = 0.3 + apart**0.5 / 10, 0.3, 1 - apart, 400
    a, b, c = (Fraction(r) for r in (r1, r2, r12))
    determinant = 1 - a**2 - b**2 - c**2 + 2 * a * b * c
    squared = (a - b) ** 2 * (n - 1) * (1 + c)
    squared /= 2 * determinant * Fraction(n - 1, n - 3) + ((a + b) / 2) ** 2 * (1 - c) ** 3
    assert williams_t(r1, r2, r12, n).statistic == pytest.approx(float(squared) ** 0.5, rel=1e-9)
    pooled = ((a + b) / 2) ** 2
    psi = c * (1 - 2 * pooled) - pooled * (1 - 2 * pooled - c**2) / 2
    z = (np.arctanh(r1) - np.arctanh(r2)) * np.sqrt((n - 3) / float(2 - 2 * psi / (1 - pooled) ** 2))
    assert steiger_z(r1, r2, r12, n).statistic == pytest.approx(z, rel=1e-9)


@TESTS
@pytest.mark.parametrize("bad", [np.nan, 1.1, -np.inf])
def test_what_is_no_correlation_is_refused(test, bad: float) -> None:
    with pytest.raises(UserError, match=r"NaN or outside \[-1, 1\]"):
        test(np.array([0.1, bad]), 0.0, 0.0, 50)
    with pytest.raises(UserError, match=r"do not match"):
        test(np.zeros(2), np.zeros(3), 0.0, 50)
