"""HEX's regression head on frozen features: network, training loop, prediction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor, nn

from baselines.expression.parts.ridge import standardisation
from baselines.training.feature_smoothing import FeatureDistributionSmoothing
from baselines.training.robust_loss import AdaptiveRobustLoss
from baselines.training.torch_run import torch_run
from protocols.contract import FloatArray, Settings
from protocols.errors import UserError

if TYPE_CHECKING:
    from baselines.networks.hex_recipe import HexRecipe


class HexNetwork(nn.Module):
    """Two hidden layers (ReLU, dropout after each) and one linear output per gene."""

    def __init__(self, inputs: int, hidden: tuple[int, int], genes: int, dropout: float) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(inputs, hidden[0]), nn.ReLU(), nn.Dropout(dropout),
            nn.Linear(hidden[0], hidden[1]), nn.ReLU(), nn.Dropout(dropout),
        )  # fmt: skip
        self.output = nn.Linear(hidden[1], genes)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.output(self.body(x)))

    def per_gene(self, features: Tensor) -> Tensor:
        """Output where every gene has features of its own, ``(n, genes, width)`` to ``(n, genes)``."""
        return (features * self.output.weight).sum(dim=-1) + self.output.bias


@dataclass(frozen=True)
class FittedHead:
    """A trained head, the updates that it took, and the scaling of its inputs and outputs."""

    network: HexNetwork
    steps: int
    x_mean: FloatArray
    x_scale: FloatArray
    y_mean: FloatArray
    y_scale: FloatArray


def train_head(
    x: FloatArray, y: FloatArray, recipe: HexRecipe, settings: Settings, seed: int, start: HexNetwork | None = None
) -> FittedHead:
    """Fit on features ``(n, d)`` and targets ``(n, genes)`` with NaN holes.

    Features are standardised, targets scaled to unit variance per gene for the loss and to [0, 1] for the smoothing's
    bins. A gene never measured predicts 0. With ``start`` the hidden layers begin as that head's, which read features
    as they are: then these are not standardised.
    """
    x_mean, x_scale = standardisation(x.astype(np.float64))
    if start is not None:
        refuse_other_features(start, x.shape[1])
        x_mean, x_scale = np.zeros_like(x_mean), np.ones_like(x_scale)
    seen = np.isfinite(y)
    count = np.maximum(seen.sum(axis=0), 1)
    filled = np.where(seen, y, 0.0).astype(np.float64)
    y_mean = filled.sum(axis=0) / count
    spread = np.sqrt((np.where(seen, filled - y_mean, 0.0) ** 2).sum(axis=0) / count)
    y_scale = np.where(spread > 1e-6, spread, 1.0)
    low = np.where(seen, y, np.inf).min(axis=0)
    extent = np.maximum(np.where(seen, y, -np.inf).max(axis=0) - low, 1e-6)
    unit = np.where(seen, (filled - low) / extent, 0.0)
    with torch_run(settings, threads=1) as device:
        torch.manual_seed(seed)
        network = HexNetwork(x.shape[1], recipe.hidden, y.shape[1], recipe.dropout).to(device)
        with torch.no_grad():
            network.output.bias.zero_()
            if start is not None:
                network.body.load_state_dict(start.body.state_dict())
        tensors = [
            torch.from_numpy(array).to(device)
            for array in (
                ((x - x_mean) / x_scale).astype(np.float32),
                ((filled - y_mean) / y_scale).astype(np.float32),
                unit.astype(np.float32),
                seen,
            )
        ]
        steps = _run(network, tensors, recipe, seed, planned_steps(recipe, len(x), settings))
    y_spread = np.where(spread > 1e-6, spread, 0.0)
    scaling = (array.astype(np.float32) for array in (x_mean, x_scale, y_mean, y_spread))
    return FittedHead(network.cpu().eval(), steps, *scaling)


def refuse_other_features(start: HexNetwork, given: int) -> None:
    expected = start.body[0].in_features
    if expected != given:
        raise UserError(
            f"the head reads {expected} features, the embedding has {given}", where="weights.hex_head",
            expected="a head for this encoder", remedy="the released head fits profile: full and MUSK (1,024 features)",
        )  # fmt: skip


def planned_steps(recipe: HexRecipe, rows: int, settings: Settings) -> int:
    """Updates after which a training on ``rows`` ends."""
    steps = recipe.epochs * recipe.steps_of_epoch(rows)
    return settings.at_most(steps if recipe.max_steps is None else min(steps, recipe.max_steps))


def apply_head(head: FittedHead, x: FloatArray, settings: Settings) -> FloatArray:
    """Predictions ``(n, genes)`` in the targets' units."""
    z = torch.from_numpy(((x - head.x_mean) / head.x_scale).astype(np.float32))
    with torch_run(settings, threads=1), torch.inference_mode():
        scaled: FloatArray = head.network(z).numpy()
    return scaled * head.y_scale + head.y_mean


def _run(network: HexNetwork, tensors: list[Tensor], recipe: HexRecipe, seed: int, most: int) -> int:
    """Train in place for ``most`` updates; how many were taken."""
    x, y, unit, measured = tensors
    loss = AdaptiveRobustLoss(y.shape[1]).to(x.device)
    smoother = FeatureDistributionSmoothing(
        y.shape[1], recipe.hidden[1], recipe.bins, recipe.kernel, recipe.sigma
    ).to(x.device)  # fmt: skip
    optimiser = torch.optim.Adam(
        [
            {"params": network.parameters(), "lr": recipe.learning_rate},
            {"params": loss.parameters(), "lr": recipe.loss_learning_rate},
        ]
    )
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimiser, recipe.decay)
    order = torch.Generator().manual_seed(seed)
    left = most
    network.train()
    for epoch in range(recipe.epochs):
        smoothing = recipe.smoothing_from <= epoch < recipe.smoothing_until
        for at in torch.split(torch.randperm(len(x), generator=order), recipe.batch)[:left]:
            left -= 1
            features = network.body(x[at])
            predicted = network.per_gene(smoother.smooth(features, unit[at])) if smoothing else network.output(features)
            optimiser.zero_grad()
            loss(predicted - y[at], measured[at]).backward()
            optimiser.step()
        schedule.step()
        if left <= 0:
            break
        if epoch < recipe.smoothing_until:
            _update(smoother, network, x, unit, measured)
    return most - left


@torch.no_grad()
def _update(
    smoother: FeatureDistributionSmoothing, network: HexNetwork, x: Tensor, unit: Tensor, measured: Tensor
) -> None:
    """Feed the epoch's features to the smoother (in training mode, as the published loop does)."""
    smoother.update(network.body(x), unit, measured)
