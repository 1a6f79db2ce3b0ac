"""HEX's regression head on frozen features."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn


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
