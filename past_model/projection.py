"""The projection of either modality into the shared space."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class ProjectionHead(nn.Module):
    """``(n, in)`` to unit vectors ``(n, out)``: a linear map, plus a GELU branch on it, layer-norm, L2 norm."""

    def __init__(self, in_features: int, out_features: int, dropout: float) -> None:
        super().__init__()
        self.projection = nn.Linear(in_features, out_features)
        self.fc = nn.Linear(out_features, out_features)
        self.dropout = nn.Dropout(dropout)
        self.layer_norm = nn.LayerNorm(out_features)

    def forward(self, features: Tensor) -> Tensor:
        projected = self.projection(features)
        branch = self.dropout(self.fc(functional.gelu(projected)))
        return functional.normalize(self.layer_norm(projected + branch), dim=-1)
