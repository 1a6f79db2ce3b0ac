"""Feature distribution smoothing on cases worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from baselines.training.feature_smoothing import FeatureDistributionSmoothing, gaussian_kernel

YES = torch.ones


def test_kernel_is_normalised_and_symmetric() -> None:
    kernel = gaussian_kernel(3, 1.0)
    side = math.exp(-0.5) / (1 + 2 * math.exp(-0.5))
    torch.testing.assert_close(kernel, torch.tensor([side, 1 - 2 * side, side]))


def test_two_bins_by_hand() -> None:
    """Bin 0 holds 0 and 2 (mean 1, variance 2), bin 1 holds 10 and 14 (mean 12, variance 8)."""
    fds = FeatureDistributionSmoothing(genes=1, width=1, bins=2, kernel=3, sigma=1.0)
    features = torch.tensor([[0.0], [2.0], [10.0], [14.0]])
    unit = torch.tensor([[0.1], [0.2], [0.9], [1.0]])
    fds.update(features, unit, torch.ones(4, 1, dtype=torch.bool))
    side = float(gaussian_kernel(3, 1.0)[0])
    centre = 1 - 2 * side
    # reflected border: the neighbour on both sides of a bin of two is the other one
    mean0, mean1 = centre * 1 + 2 * side * 12, centre * 12 + 2 * side * 1
    var0, var1 = centre * 2 + 2 * side * 8, centre * 8 + 2 * side * 2
    got = fds.smooth(torch.tensor([[3.0], [3.0]]), torch.tensor([[0.0], [0.7]]))[:, 0, 0]
    expected = [(3 - 1) * math.sqrt(var0 / 2) + mean0, (3 - 12) * math.sqrt(var1 / 8) + mean1]
    assert got.tolist() == pytest.approx(expected, rel=1e-5)


def test_second_update_moves_by_a_tenth() -> None:
    fds = FeatureDistributionSmoothing(genes=1, width=1, bins=2, kernel=1)
    unit, yes = torch.tensor([[0.1], [0.2], [0.9], [1.0]]), torch.ones(4, 1, dtype=torch.bool)
    fds.update(torch.tensor([[0.0], [2.0], [0.0], [2.0]]), unit, yes)
    fds.update(torch.tensor([[10.0], [12.0], [0.0], [2.0]]), unit, yes)
    assert fds._mean[0, :, 0].tolist() == pytest.approx([0.9 * 1 + 0.1 * 11, 1.0])


def test_plain_features_before_the_first_update_and_genes_apart() -> None:
    fds = FeatureDistributionSmoothing(genes=2, width=3, bins=4)
    features = torch.arange(6.0).view(2, 3)
    torch.testing.assert_close(fds.smooth(features, torch.rand(2, 2)), features[:, None].expand(2, 2, 3))
    unit = torch.tensor([[0.0, 0.9], [0.0, 0.9]])
    fds.update(features, unit, torch.tensor([[True, False], [True, False]]))
    assert fds._seen.tolist() == [[True, False, False, False], [False] * 4]


def test_unseen_bins_do_not_pull_the_seen_one() -> None:
    fds = FeatureDistributionSmoothing(genes=1, width=1, bins=10, kernel=5)
    fds.update(torch.tensor([[4.0], [6.0]]), torch.tensor([[0.5], [0.5]]), torch.ones(2, 1, dtype=torch.bool))
    assert float(fds.smooth(torch.tensor([[4.5]]), torch.tensor([[0.5]]))) == pytest.approx(4.5)
