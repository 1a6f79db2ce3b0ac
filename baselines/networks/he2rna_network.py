"""HE2RNA's network: one MLP scores every super-tile for every gene; a gene's value is the mean of its top k scores.

Schmauch et al., Nature Communications 2020; k is drawn for each mini-batch in training, and prediction is the mean
over all k.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from baselines.networks.sequoia_networks import TileScale

KS = (1, 2, 5, 10, 20, 50, 100)


@dataclass(frozen=True)
class He2rnaSizes:
    """Widths of the hidden layers and the dropout after each."""

    hidden: tuple[int, ...]
    dropout: float


ORIGINAL = {"full": He2rnaSizes((1024, 1024), 0.25), "mini": He2rnaSizes((64, 64), 0.25)}
"""HE2RNA's configuration for all genes together."""
SEQUOIA = {"full": He2rnaSizes((256, 256), 0.5), "mini": He2rnaSizes((64, 64), 0.5)}
"""SEQUOIA's re-implementation: narrower layers and that class's default dropout."""


class He2rnaTrunk(nn.Module):
    """The hidden layers, shared by all tiles: ``(n, K, d)`` to ``(n, K, hidden)``."""

    def __init__(self, sizes: He2rnaSizes, width: int) -> None:
        super().__init__()
        self.scale = TileScale(width)
        widths = (width, *sizes.hidden)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.dropout = nn.Dropout(sizes.dropout)

    def forward(self, tiles: Tensor, present: Tensor) -> Tensor:
        tokens: Tensor = self.scale(tiles, present)
        for layer in self.layers:
            tokens = self.dropout(torch.relu(layer(tokens)))
        return tokens


class He2rnaNetwork(nn.Module):
    """``(n, K, d)`` and ``present`` ``(n, K)`` to ``(n, genes)``; with ``k`` from the top k, else the mean over all k.

    A k above the number of places is left out. ``masked=False`` pools as the released code does, see
    :func:`pool_as_released`.
    """

    def __init__(self, sizes: He2rnaSizes, places: int, width: int, genes: int, *, masked: bool = True) -> None:
        super().__init__()
        self.masked = masked
        self.ks = tuple(k for k in KS if k <= places)
        self.trunk = He2rnaTrunk(sizes, width)
        self.output = nn.Linear(sizes.hidden[-1] if sizes.hidden else width, genes)

    def forward(self, tiles: Tensor, present: Tensor, k: int | None = None) -> Tensor:
        return self.pool(self.tile_scores(tiles, present), present, k)

    def tile_scores(self, tiles: Tensor, present: Tensor) -> Tensor:
        """A score of every tile for every gene, ``(n, K, genes)``."""
        scores: Tensor = self.output(self.trunk(tiles, present))
        return scores

    def pool(self, scores: Tensor, present: Tensor, k: int | None = None) -> Tensor:
        pool = pool_top if self.masked else pool_as_released
        return pool(scores, present, self.ks if k is None else (k,))


def pool_top(scores: Tensor, present: Tensor, ks: tuple[int, ...]) -> Tensor:
    """Mean over ``ks`` of the mean of the k highest scores: ``(n, K, genes)`` to ``(n, genes)``.

    Absent tiles never enter. A slide with fewer than k tiles gives the mean of all it has, one with none gives 0.
    """
    hidden = scores.masked_fill(~present.unsqueeze(-1), float("-inf"))
    top = hidden.topk(max(ks), dim=1).values
    top = top.masked_fill(torch.isneginf(top), 0.0)
    tiles = present.sum(dim=1, keepdim=True).clamp(min=1)
    means = [top[:, :k].sum(dim=1) / tiles.clamp(max=k) for k in ks]
    return torch.stack(means).mean(dim=0)


def pool_as_released(scores: Tensor, present: Tensor, ks: tuple[int, ...]) -> Tensor:
    """The released pooling, kept to show what it does to padded slides.

    Absent tiles score 0 and compete: they outrank every negative score. The mask is applied to the sorted scores by
    *position*, which is only right if present tiles come first. Without a present tile among the first k the released
    code divides 0 by 0; here the answer is 0.
    """
    kept = present.unsqueeze(-1).to(scores.dtype)
    top = (scores * kept).topk(max(ks), dim=1).values
    means = [(top[:, :k] * kept[:, :k]).sum(dim=1) / kept[:, :k].sum(dim=1).clamp(min=1) for k in ks]
    return torch.stack(means).mean(dim=0)


def renamed_he2rna(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A released state dict under this project's names: 1-wide convolutions ``conv0``, … of which the last is the head.

    Entries that are no such convolution keep their names.
    """
    numbers = [int(found[1]) for key in state if (found := re.fullmatch(r"conv(\d+)\.(weight|bias)", key))]
    renamed = {}
    for key, value in state.items():
        found = re.fullmatch(r"conv(\d+)\.(weight|bias)", key)
        if found is None:
            renamed[key] = value
            continue
        layer = "output" if int(found[1]) == max(numbers) else f"trunk.layers.{found[1]}"
        renamed[f"{layer}.{found[2]}"] = value.squeeze(-1) if found[2] == "weight" else value
    return renamed
