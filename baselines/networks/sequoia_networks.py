"""SEQUOIA's networks: super-tiles plus learned places, six blocks, mean over places, one linear head.

``vit`` is the preprint's vision transformer, ``vis`` the later release's linear-time summary mixing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

Mixer = Literal["vit", "vis"]


@dataclass(frozen=True)
class SequoiaSizes:
    """Blocks, heads, width of a head, and the hidden width of the ViT's feed-forward (the ViS takes that of a tile)."""

    depth: int
    heads: int
    head_width: int
    feedforward: int


FULL = SequoiaSizes(depth=6, heads=16, head_width=64, feedforward=2048)
"""SEQUOIA preprint, Methods, and the released code."""
MINI = SequoiaSizes(depth=2, heads=4, head_width=16, feedforward=64)
PROFILES = {"full": FULL, "mini": MINI}


class TileScale(nn.Module):
    """Tile features less a mean, over a spread; absent places become zero. Buffers, so they travel with a trunk."""

    mean: Tensor
    spread: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("spread", torch.ones(width))

    def forward(self, tiles: Tensor, present: Tensor) -> Tensor:
        scaled = (tiles - self.mean) / self.spread
        return scaled.masked_fill(~present.unsqueeze(-1), 0.0)


class Attention(nn.Module):
    """Multi-head self-attention on normed tokens, no biases (SEQUOIA preprint; released ``vit.py``)."""

    def __init__(self, width: int, sizes: SequoiaSizes) -> None:
        super().__init__()
        inner = sizes.heads * sizes.head_width
        self.heads, self.head_width = sizes.heads, sizes.head_width
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * inner, bias=False)
        self.out = nn.Linear(inner, width, bias=False)

    def forward(self, tokens: Tensor, present: Tensor | None) -> Tensor:
        n, places, _ = tokens.shape
        split = self.qkv(self.norm(tokens)).view(n, places, 3, self.heads, self.head_width)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        score = query @ key.transpose(-1, -2) / math.sqrt(self.head_width)
        if present is not None:  # finite, so that a slide without any tile stays finite, too
            score = score.masked_fill(~present[:, None, None, :], torch.finfo(score.dtype).min)
        mixed: Tensor = self.out((torch.softmax(score, dim=-1) @ value).transpose(1, 2).flatten(2))
        return mixed


class SummaryMixing(nn.Module):
    """Parallel heads, each of which joins a place's own view with the mean view of all places (released ViS).

    Per head, all of one width: local = GELU(LN(linear)), summary = GELU(LN(mean over places of linear)),
    out = GELU(linear of both); the heads side by side go through one linear layer. Tokens are not normed first.
    """

    def __init__(self, width: int, sizes: SequoiaSizes) -> None:
        super().__init__()
        heads, inner = sizes.heads, sizes.head_width
        self.heads, self.head_width = heads, inner
        self.local = nn.Linear(width, heads * inner)
        self.summary = nn.Linear(width, heads * inner)
        self.local_norm, self.summary_norm = HeadNorm(heads, inner), HeadNorm(heads, inner)
        bound = 1 / math.sqrt(2 * inner)  # torch's own for a linear layer, one layer a head
        self.join_weight = nn.Parameter(torch.empty(heads, 2 * inner, inner).uniform_(-bound, bound))
        self.join_bias = nn.Parameter(torch.empty(heads, inner).uniform_(-bound, bound))
        self.out = nn.Linear(heads * inner, width)

    def forward(self, tokens: Tensor, present: Tensor | None) -> Tensor:
        gelu = nn.functional.gelu
        by_head = (*tokens.shape[:2], self.heads, self.head_width)
        local = gelu(self.local_norm(self.local(tokens).view(by_head)))
        mean = self.summary(mean_of_present(tokens, present)).view(-1, self.heads, self.head_width)
        summary = gelu(self.summary_norm(mean)).unsqueeze(1).expand(by_head)
        both = torch.cat([local, summary], dim=-1)
        joined = gelu(torch.einsum("nphi,hio->npho", both, self.join_weight) + self.join_bias)
        mixed: Tensor = self.out(joined.flatten(2))
        return mixed


class HeadNorm(nn.Module):
    """Layer norm over the last axis of ``(..., heads, width)`` with a gain and an offset for every head."""

    def __init__(self, heads: int, width: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(heads, width))
        self.offset = nn.Parameter(torch.zeros(heads, width))

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.layer_norm(x, x.shape[-1:]) * self.gain + self.offset


class Block(nn.Module):
    """A mixer and a feed-forward (LN, linear, GELU, linear), each beside a residual."""

    def __init__(self, mixer: Mixer, width: int, sizes: SequoiaSizes) -> None:
        super().__init__()
        self.mix = Attention(width, sizes) if mixer == "vit" else SummaryMixing(width, sizes)
        hidden = sizes.feedforward if mixer == "vit" else width
        self.feedforward = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width)
        )

    def forward(self, tokens: Tensor, present: Tensor | None) -> Tensor:
        tokens = tokens + self.mix(tokens, present)
        added: Tensor = tokens + self.feedforward(tokens)
        return added


class SequoiaTrunk(nn.Module):
    """All but the head: ``(n, K, d)`` and ``present`` ``(n, K)`` to ``(n, d)``.

    ``masked``: absent places are left out of attention, summary and pooling; otherwise they take part as zeros plus
    their place's row, as in the released code. The place table is one row a place, N(0, 1).
    """

    def __init__(self, mixer: Mixer, sizes: SequoiaSizes, places: int, width: int, *, masked: bool = True) -> None:
        super().__init__()
        self.masked = masked
        self.scale = TileScale(width)
        self.place = nn.Parameter(torch.randn(places, width))
        self.blocks = nn.ModuleList(Block(mixer, width, sizes) for _ in range(sizes.depth))

    def forward(self, tiles: Tensor, present: Tensor) -> Tensor:
        seen = present if self.masked else None
        tokens = self.scale(tiles, present) + self.place
        for block in self.blocks:
            tokens = block(tokens, seen)
        return mean_of_present(tokens, seen)


class SequoiaNetwork(nn.Module):
    """Trunk, then LN and one linear layer to every gene: ``(n, genes)``."""

    def __init__(
        self, mixer: Mixer, sizes: SequoiaSizes, places: int, width: int, genes: int, *, masked: bool = True
    ) -> None:
        super().__init__()
        self.trunk = SequoiaTrunk(mixer, sizes, places, width, masked=masked)
        self.norm = nn.LayerNorm(width)
        self.output = nn.Linear(width, genes)

    def forward(self, tiles: Tensor, present: Tensor) -> Tensor:
        answer: Tensor = self.output(self.norm(self.trunk(tiles, present)))
        return answer


def mean_of_present(tokens: Tensor, present: Tensor | None) -> Tensor:
    """Mean over the present places of ``(n, K, d)``; zero for a row without any; over all places without a mask."""
    if present is None:
        return tokens.mean(dim=1)
    kept = present.unsqueeze(-1)
    return tokens.masked_fill(~kept, 0.0).sum(dim=1) / kept.sum(dim=1).clamp(min=1)
