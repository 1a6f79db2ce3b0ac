"""Building blocks of the survival networks: SNN, co-attention, transformer stream, gated attention pooling."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class SurvivalSizes:
    """Widths and training of one profile. ``tiles_at_once`` bounds memory: padded tiles of one forward pass."""

    dim: int
    heads: int
    layers: int
    feedforward: int
    wide: int
    """Width of the first image layer in attention MIL and Deep Sets."""
    snn_layers: int
    dropout: float
    epochs: int
    patience: int
    learning_rate: float
    weight_decay: float
    accumulate: int = 32
    tiles_at_once: int = 65_536


FULL = SurvivalSizes(
    dim=256, heads=8, layers=2, feedforward=512, wide=512, snn_layers=4, dropout=0.25,
    epochs=20, patience=5, learning_rate=2e-4, weight_decay=1e-5,
)  # fmt: skip
"""MCAT's "small" network and its optimiser (Chen et al., ICCV 2021, section 4.2; released code)."""

MINI = SurvivalSizes(
    dim=24, heads=4, layers=1, feedforward=48, wide=32, snn_layers=2, dropout=0.25,
    epochs=40, patience=8, learning_rate=2e-3, weight_decay=1e-3,
)  # fmt: skip

PUBLISHED_EPOCHS = FULL.epochs
"""MCAT's own rule: so many epochs, and the last of them counts."""
PROFILES = {"full": FULL, "mini": MINI}


@dataclass(frozen=True)
class Batch:
    """Some patients. ``tiles`` float32 ``(n, T, d)`` padded with 0 where ``padding`` ``(n, T)`` is True, or None;
    ``genomic``: one float32 ``(n, features)`` a token; ``extra``: further tokens ``(n, E, e)``, or None."""

    tiles: Tensor | None
    padding: Tensor | None
    genomic: tuple[Tensor, ...]
    extra: Tensor | None = None


def snn_block(inputs: int, outputs: int, dropout: float) -> nn.Sequential:
    """Self-normalising layer (Klambauer et al., NeurIPS 2017), as MCAT has it: linear, ELU, alpha dropout."""
    return nn.Sequential(nn.Linear(inputs, outputs), nn.ELU(), nn.AlphaDropout(dropout))


def start_normal(network: nn.Module) -> None:
    """Linear layers at N(0, 1 / inputs), biases 0: what keeps mean and variance from layer to layer in a
    self-normalising network (Klambauer et al., NeurIPS 2017), and where MCAT's SNN starts."""
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, 0.0, layer.in_features**-0.5)
            nn.init.zeros_(layer.bias)


class GatedAttentionPool(nn.Module):
    """Attention pooling with a gate (Ilse et al., ICML 2018): ``(n, T, dim)`` to ``(n, dim)``."""

    def __init__(self, dim: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.value = nn.Sequential(nn.Linear(dim, hidden), nn.Tanh(), nn.Dropout(dropout))
        self.gate = nn.Sequential(nn.Linear(dim, hidden), nn.Sigmoid(), nn.Dropout(dropout))
        self.score = nn.Linear(hidden, 1)

    def forward(self, tokens: Tensor, padding: Tensor | None = None) -> Tensor:
        score = self.score(self.value(tokens) * self.gate(tokens)).squeeze(-1)
        if padding is not None:
            score = score.masked_fill(padding, float("-inf"))
        return torch.einsum("nt,ntd->nd", torch.softmax(score, dim=1), tokens)


class CoAttention(nn.Module):
    """Genomic tokens look at tiles: one head, no residual, no norm (MCAT, section 3.3): ``(n, tokens, dim)``."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(dim, 1, batch_first=True)

    def forward(self, genomic: Tensor, tiles: Tensor, padding: Tensor | None) -> Tensor:
        guided: Tensor = self.attention(genomic, tiles, tiles, key_padding_mask=padding, need_weights=False)[0]
        return guided


class Stream(nn.Module):
    """Transformer layers over tokens, gated attention pooling, one layer: ``(n, tokens, dim)`` to ``(n, dim)``.

    The transformer layers start as copies of one another, as they do in the released code.
    """

    def __init__(self, sizes: SurvivalSizes) -> None:
        super().__init__()
        dim = sizes.dim
        layer = nn.TransformerEncoderLayer(dim, sizes.heads, sizes.feedforward, sizes.dropout, batch_first=True)
        self.layers = nn.ModuleList(copy.deepcopy(layer) for _ in range(sizes.layers))
        self.pool = GatedAttentionPool(dim, dim, sizes.dropout)
        self.out = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Dropout(sizes.dropout))

    def forward(self, tokens: Tensor) -> Tensor:
        for layer in self.layers:
            tokens = layer(tokens)
        pooled: Tensor = self.out(self.pool(tokens))
        return pooled


def masked_pool(tokens: Tensor, padding: Tensor | None, *, mean: bool) -> Tensor:
    """Sum or mean over the real tokens of ``(n, T, dim)``."""
    if padding is None:
        return tokens.mean(dim=1) if mean else tokens.sum(dim=1)
    kept = (~padding).to(tokens.dtype).unsqueeze(-1)
    total = (tokens * kept).sum(dim=1)
    return total / kept.sum(dim=1) if mean else total
