"""HEX: its released head, its feature smoothing and its adaptive loss."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from baselines.expression.hex import RECIPES
from baselines.networks.hex_head import HexNetwork
from baselines.networks.hex_released import load_head
from baselines.training.feature_smoothing import FeatureDistributionSmoothing, smoothing_kernel
from baselines.training.robust_loss import AdaptiveRobustLoss, general_loss, interpolated_log_partition, log_partition
from tests.parity.vectors import a, read

BINS = 10


def labels_of(epoch: int, sparse: bool) -> np.ndarray:
    y = 0.5 + 0.5 * a(f"labels_{epoch}", 60, np.float64)
    if sparse:
        y = np.where(y < 0.5, 0.2 * y, 0.3 + 0.4 * (y - 0.5))
        y[0] = 0.95
    return y.astype(np.float32)


def smoother_after_two_epochs(sparse: bool, counts: list[list[int]]) -> FeatureDistributionSmoothing:
    fds = FeatureDistributionSmoothing(genes=1, width=3, bins=BINS)
    for epoch in (0, 1):
        y = torch.from_numpy(labels_of(epoch, sparse))[:, None]
        assert torch.bincount(fds.bin_of(y)[:, 0], minlength=BINS).tolist() == counts[epoch]
        features = 2 * torch.from_numpy(a(f"features_{epoch}", (60, 3))) + 3 * y
        fds.update(features, y, torch.ones(60, 1, dtype=torch.bool))
    return fds


def test_smoothing_kernel() -> None:
    read("hex_feature_smoothing").check(smoothing_kernel(9, 2.0), "kernel, 9 weights")


@pytest.mark.parametrize("labels", ["dense labels", "sparse labels: bins without samples and with one"])
def test_smoothing_statistics_and_recalibrated_features(labels: str) -> None:
    vectors = read("hex_feature_smoothing")
    fds = smoother_after_two_epochs(labels.startswith("sparse"), vectors.expected(labels, "counts_by_bin"))
    assert fds._last is not None
    for table, what in zip(fds._last, ("running_mean", "running_var", "smoothed_mean", "smoothed_var"), strict=True):
        loose = 1e-4 if what.endswith("var") else None  # the file says so of variances
        vectors.check(table[0], labels, what, tolerance=loose)
    query = torch.from_numpy(a("query", (4, 3)))
    vectors.check(query, labels, "query")
    unit = torch.tensor(vectors.expected(labels, "query_labels"))[:, None]
    vectors.check(fds.smooth(query, unit)[:, 0], labels, "smoothed_query", tolerance=1e-4)


def test_adaptive_loss_of_one_marker() -> None:
    vectors = read("hex_adaptive_loss")
    for case in range(len(vectors.expected("cases"))):
        given = vectors.expected("cases", case)
        loss = AdaptiveRobustLoss(1)
        with torch.no_grad():
            loss.latent_shape.fill_(given["latent alpha"])
            loss.latent_scale.fill_(given["latent scale"])
        residuals = torch.tensor(given["residuals"])
        vectors.check(loss.shape()[0], "cases", case, "alpha")
        vectors.check(loss.scale()[0], "cases", case, "scale")
        vectors.check(interpolated_log_partition(loss.shape())[0], "cases", case, "log Z(alpha)")
        vectors.check(general_loss(residuals, loss.shape(), loss.scale()), "cases", case, "rho")
        each = torch.stack([loss(r.view(1, 1), torch.ones(1, 1, dtype=torch.bool)) for r in residuals])
        vectors.check(each, "cases", case, "negative log-likelihood")
        vectors.check(each, "cases", case, "library")


def test_adaptive_loss_of_a_batch_and_its_gradients() -> None:
    vectors, where = read("hex_adaptive_loss"), "batch of 4 samples x 3 markers"
    loss = AdaptiveRobustLoss(3)
    value: Tensor = loss(2 * torch.from_numpy(a("residuals", (4, 3))), torch.ones(4, 3, dtype=torch.bool))
    vectors.check(value, where, "mean loss")
    value.backward()  # type: ignore[no-untyped-call]
    # The library's own spline of log Z has the slope -.192846 at alpha 1, the function -.192870 (next test): 1.3e-4.
    vectors.check(loss.latent_shape.grad, where, "gradient by the three latent alphas", tolerance=2e-4)
    vectors.check(loss.latent_scale.grad, where, "gradient by the three latent scales")


def test_slope_of_the_partition_function() -> None:
    """-0.192870015 at shape 1, by 15-digit quadrature of the derivative elsewhere."""
    shape = torch.tensor(1.0, requires_grad=True)
    interpolated_log_partition(shape).backward()  # type: ignore[no-untyped-call]
    assert shape.grad is not None
    assert shape.grad.item() == pytest.approx(-0.192870015, rel=1e-5)


def test_known_values_of_the_partition_function() -> None:
    vectors = read("hex_adaptive_loss")
    ends = np.exp(log_partition(np.array([1e-9, 1.0, 2 - 1e-9])))
    for value, what in zip(ends, ("0 (pi*sqrt 2)", "1 (2*e*K1(1))", "2 (sqrt(2 pi))"), strict=True):
        vectors.check(value, "known values of Z", f"Z at alpha {what}")


def test_released_head() -> None:
    vectors = read("hex_head")
    network = HexNetwork(1024, RECIPES["full"].hidden, 40, RECIPES["full"].dropout).eval()
    assert sum(parameter.numel() for parameter in network.parameters()) == vectors.content["weights"]["parameters"]
    load_head(network, vectors.state(), where="the formula")
    features = torch.from_numpy(a("features", (3, 1024)))
    with torch.no_grad():
        answer = network(features)
        vectors.check(network.body(features), "128 features before the last layer")
    vectors.check(answer, "output (3 tiles, 40 markers)")
    vectors.check(answer[0], "first tile, all 40")
