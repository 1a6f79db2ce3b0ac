"""An encoder: random 3 x 3 filters, as data and the function that builds them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

ENCODER = {"build": "cell_fraction.encoder:network", "pixels": 16, "dim": 8, "kwargs": {"filters": 8}}


def network(filters: int) -> nn.Module:
    from torch import nn

    return nn.Sequential(nn.Conv2d(3, filters, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
