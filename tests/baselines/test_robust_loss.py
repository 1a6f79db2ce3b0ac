"""Barron's loss against closed forms, SciPy's quadrature and finite differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import k1

from baselines.training.robust_loss import (
    AdaptiveRobustLoss,
    general_loss,
    interpolated_log_partition,
    log_partition,
)


def test_general_loss_at_shape_one_is_pseudo_huber() -> None:
    x = torch.tensor([-3.0, 0.0, 0.5])
    expected = torch.sqrt((x / 2) ** 2 + 1) - 1
    torch.testing.assert_close(general_loss(x, torch.tensor(1.0), torch.tensor(2.0)), expected)


@pytest.mark.parametrize(("shape", "limit"), [(1.999, "squared"), (0.001, "cauchy")])
def test_general_loss_near_its_limits(shape: float, limit: str) -> None:
    x = torch.tensor([0.3, 1.0], dtype=torch.float64)
    expected = x**2 / 2 if limit == "squared" else torch.log(x**2 / 2 + 1)
    got = general_loss(x, torch.tensor(shape, dtype=torch.float64), torch.tensor(1.0, dtype=torch.float64))
    torch.testing.assert_close(got, expected, rtol=2e-3, atol=2e-3)


def test_partition_has_its_closed_forms() -> None:
    z = np.exp(log_partition(np.array([1e-6, 1.0, 2 - 1e-9])))
    np.testing.assert_allclose(z, [math.pi * math.sqrt(2), 2 * math.e * k1(1), math.sqrt(2 * math.pi)], rtol=1e-4)


def test_partition_agrees_with_scipy() -> None:
    for alpha in (0.3, 0.8, 1.6):
        rho = lambda x, a=alpha: (2 - a) / a * ((x * x / (2 - a) + 1) ** (a / 2) - 1)  # noqa: E731
        integral, _ = quad(lambda x, f=rho: math.exp(-f(x)), -np.inf, np.inf, limit=200)
        assert float(log_partition(np.array(alpha))) == pytest.approx(math.log(integral), abs=1e-4)
        got = float(interpolated_log_partition(torch.tensor(alpha)))
        assert got == pytest.approx(math.log(integral), abs=1e-4)


def test_starts_at_shape_and_scale_one_and_masks_holes() -> None:
    loss = AdaptiveRobustLoss(2)
    torch.testing.assert_close(loss.shape(), torch.ones(2))
    torch.testing.assert_close(loss.scale(), torch.ones(2))
    residual = torch.tensor([[1.0, float("nan")], [0.0, 2.0]])
    value = loss(residual, torch.tensor([[True, False], [True, True]]))
    log_z = math.log(2 * math.e * k1(1))
    expected = (math.sqrt(2) - 1 + 0 + math.sqrt(5) - 1) / 3 + log_z
    assert float(value.detach()) == pytest.approx(expected, abs=1e-4)
    value.backward()
    assert torch.isfinite(loss.latent_shape.grad).all()  # type: ignore[arg-type]


def test_learning_reaches_the_entropy_of_a_normal_sample() -> None:
    """Residuals of SD 3: no density does better than the Gaussian, whose loss is log 3 + log(2 pi e) / 2."""
    sample = 3 * torch.randn(4000, 1, generator=torch.Generator().manual_seed(0))
    sample *= 3 / sample.square().mean().sqrt()
    loss = AdaptiveRobustLoss(1)
    yes = torch.ones_like(sample, dtype=torch.bool)
    best = math.log(3) + 0.5 * math.log(2 * math.pi * math.e)
    assert float(loss(sample, yes).detach()) > best + 0.1
    optimiser = torch.optim.Adam(loss.parameters(), 0.1)
    for _ in range(300):
        optimiser.zero_grad()
        loss(sample, yes).backward()
        optimiser.step()
    assert float(loss(sample, yes).detach()) == pytest.approx(best, abs=0.02)
    assert float(loss.shape().detach()) > 1.7
