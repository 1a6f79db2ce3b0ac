"""MaskedRidge against scikit-learn, brute-force leave-one-out, and hand cases."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge, RidgeCV

from baselines.expression.parts.ridge import ALPHAS, MaskedRidge


def _data(n: int, d: int, genes: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d)) * rng.uniform(0.5, 20, d) + rng.normal(size=d)
    y = x @ rng.normal(size=(d, genes)) / d + rng.normal(size=(n, genes))
    return x, y


@pytest.mark.parametrize(("n", "d"), [(60, 8), (40, 40), (30, 90)])
def test_agrees_with_ridgecv_per_target(n: int, d: int) -> None:
    x, y = _data(n, d)
    z = (x - x.mean(0)) / x.std(0)
    reference = RidgeCV(alphas=ALPHAS, alpha_per_target=True).fit(z, y)
    ours = MaskedRidge().fit(x, y)
    np.testing.assert_allclose(ours.alpha_, reference.alpha_)
    np.testing.assert_allclose(ours.predict(x), reference.predict(z), rtol=1e-4, atol=1e-4)


def test_chosen_penalty_minimises_brute_force_leave_one_out() -> None:
    x, y = _data(25, 6, genes=2)
    z = (x - x.mean(0)) / x.std(0)
    alphas = (0.1, 10.0, 1000.0)
    error = np.zeros((3, 2))
    for a, alpha in enumerate(alphas):
        for i in range(25):
            rest = np.arange(25) != i
            left_out = Ridge(alpha=alpha).fit(z[rest], y[rest]).predict(z[[i]])[0]
            error[a] += (left_out - y[i]) ** 2
    np.testing.assert_allclose(MaskedRidge(alphas).fit(x, y).alpha_, np.asarray(alphas)[error.argmin(0)])


def test_a_hole_removes_the_row_for_that_gene_alone() -> None:
    x, y = _data(50, 5)
    y[30:, 2] = np.nan
    fitted = MaskedRidge((1.0,)).fit(x, y)
    z = (x - x.mean(0)) / x.std(0)
    for gene in range(4):
        rows = np.isfinite(y[:, gene])
        reference = Ridge(alpha=1.0).fit(z[rows], y[rows, gene]).predict(z)
        np.testing.assert_allclose(fitted.predict(x)[:, gene], reference, rtol=1e-4, atol=1e-4)


def test_gene_never_or_twice_measured_and_constant_feature() -> None:
    x, y = _data(20, 3)
    x[:, 1] = 7.0
    y[:, 0] = np.nan
    y[2:, 1] = np.nan
    answer = MaskedRidge().fit(x, y).predict(x + 1e3 * np.array([0, 1, 0]))
    np.testing.assert_array_equal(answer[:, 0], 0)
    np.testing.assert_allclose(answer[:, 1], y[:2, 1].mean(), rtol=1e-6)
    assert np.isfinite(answer).all()
    np.testing.assert_allclose(
        answer[:, 2:], MaskedRidge().fit(x[:, [0, 2]], y).predict(x[:, [0, 2]])[:, 2:], atol=1e-5
    )


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), shift=st.floats(-50, 50), scale=st.floats(0.01, 100))
def test_invariant_to_shift_and_scale_of_features_and_row_order(seed: int, shift: float, scale: float) -> None:
    x, y = _data(30, 5, seed=seed)
    order = np.random.default_rng(seed).permutation(30)
    plain = MaskedRidge((3.0,)).fit(x, y).predict(x)
    moved = MaskedRidge((3.0,)).fit((x * scale + shift)[order], y[order]).predict(x * scale + shift)
    np.testing.assert_allclose(moved, plain, rtol=1e-3, atol=1e-3)
