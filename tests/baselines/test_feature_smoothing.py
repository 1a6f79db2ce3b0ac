"""Feature distribution smoothing on cases worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from baselines.training.feature_smoothing import FeatureDistributionSmoothing, smoothing_kernel

YES = torch.ones


def test_kernel_is_a_filtered_impulse_whose_tails_come_back() -> None:
    """Size 3, SD 1, reflected at the ends: the 1 in the middle is seen again at a distance of 3 from itself."""
    w = [math.exp(-0.5 * k * k) for k in range(5)]  # the filter ends at four SD
    total = w[0] + 2 * sum(w[1:])
    side, middle = (w[1] + w[2] + w[4]) / total, (w[0] + 2 * w[3]) / total
    expected = torch.tensor([side, middle, side]) / (2 * side + middle)
    torch.testing.assert_close(smoothing_kernel(3, 1.0), expected, rtol=1e-5, atol=1e-6)


def test_two_bins_by_hand() -> None:
    """Bin 0 holds 0 and 2 (mean 1, variance 2), bin 1 holds 10 and 14 (mean 12, variance 8)."""
    fds = FeatureDistributionSmoothing(genes=1, width=1, bins=2, kernel=3, sigma=1.0)
    features = torch.tensor([[0.0], [2.0], [10.0], [14.0]])
    unit = torch.tensor([[0.1], [0.2], [0.9], [1.0]])
    fds.update(features, unit, torch.ones(4, 1, dtype=torch.bool))
    side = float(smoothing_kernel(3, 1.0)[0])
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


def test_a_bin_never_seen_takes_the_mean_of_its_neighbours_as_they_stand() -> None:
    """Bins 1 and 3 of four hold 0 (two values each, 2 apart) and 8: bin 0 copies bin 1, bin 2 lies between."""
    fds = FeatureDistributionSmoothing(genes=1, width=1, bins=4, kernel=1)
    features, unit = torch.tensor([[-1.0], [1.0], [7.0], [9.0]]), torch.tensor([[0.3], [0.3], [0.8], [0.8]])
    fds.update(features, unit, torch.ones(4, 1, dtype=torch.bool))
    # bin 0 is filled first, when bin 1 is known
    assert fds._mean[0, :, 0].tolist() == pytest.approx([0, 0, 4, 8], abs=1e-5)
    assert fds._variance[0, :, 0].tolist() == pytest.approx([2, 2, 2, 2], rel=1e-5)


def test_a_bin_with_one_value_leaves_features_alone() -> None:
    fds = FeatureDistributionSmoothing(genes=1, width=1, bins=2, kernel=3)
    features, unit = torch.tensor([[4.0], [6.0], [9.0]]), torch.tensor([[0.1], [0.1], [0.9]])
    fds.update(features, unit, torch.ones(3, 1, dtype=torch.bool))
    assert float(fds.smooth(torch.tensor([[4.5]]), torch.tensor([[0.9]]))) == pytest.approx(4.5)
