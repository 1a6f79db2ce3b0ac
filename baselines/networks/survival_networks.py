"""The survival networks: each maps a batch of patients to the logits of four hazards."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from baselines.networks.survival_blocks import (
    Batch,
    CoAttention,
    GatedAttentionPool,
    Stream,
    SurvivalSizes,
    masked_pool,
    snn_block,
    start_normal,
)
from baselines.training.survival_loss import BINS


class Mcat(nn.Module):
    """Genomic-guided co-attention over tiles, two streams, concatenation (Chen et al., ICCV 2021; "small").

    ``genomic``: features of each signature; ``extra``: width of further tokens that join the genomic ones through
    two layers of their own, as each signature has (PAST-multi's cell embedding). With 1,024-wide tiles
    and BLCA's signatures the full network has 4.49 million parameters.
    """

    def __init__(self, sizes: SurvivalSizes, tile_width: int, genomic: Sequence[int], extra: int = 0) -> None:
        super().__init__()
        dim, drop = sizes.dim, sizes.dropout
        self.tiles = nn.Sequential(nn.Linear(tile_width, dim), nn.ReLU(), nn.Dropout(drop))
        self.signatures = nn.ModuleList(
            nn.Sequential(snn_block(width, dim, drop), snn_block(dim, dim, drop)) for width in genomic
        )
        self.extra = nn.Sequential(snn_block(extra, dim, drop), snn_block(dim, dim, drop)) if extra else None
        self.coattention = CoAttention(dim)
        self.path, self.omic = Stream(sizes), Stream(sizes)
        self.fusion = nn.Sequential(nn.Linear(2 * dim, dim), nn.ReLU(), nn.Linear(dim, dim), nn.ReLU())
        self.classifier = nn.Linear(dim, BINS)

    def forward(self, batch: Batch) -> Tensor:
        tokens = [network(part) for network, part in zip(self.signatures, batch.genomic, strict=True)]
        genomic = torch.stack(tokens, dim=1)
        if self.extra is not None and batch.extra is not None:
            genomic = torch.cat([genomic, self.extra(batch.extra)], dim=1)
        guided = self.coattention(genomic, self.tiles(batch.tiles), batch.padding)
        # The genomic stream reads the tokens from before co-attention.
        fused: Tensor = self.fusion(torch.cat([self.path(guided), self.omic(genomic)], dim=1))
        logits: Tensor = self.classifier(fused)
        return logits


class Snn(nn.Module):
    """All genomic features through self-normalising layers, started as such: the genome alone."""

    def __init__(self, sizes: SurvivalSizes, genomic: Sequence[int]) -> None:
        super().__init__()
        widths = [sum(genomic), *[sizes.dim] * sizes.snn_layers]
        self.layers = nn.Sequential(*(snn_block(a, b, sizes.dropout) for a, b in pairwise(widths)))
        self.classifier = nn.Linear(sizes.dim, BINS)
        start_normal(self)

    def forward(self, batch: Batch) -> Tensor:
        logits: Tensor = self.classifier(self.layers(torch.cat(batch.genomic, dim=1)))
        return logits


class AttentionMil(nn.Module):
    """Gated attention over tiles: the slide alone (Ilse et al., ICML 2018, with MCAT's sizes)."""

    def __init__(self, sizes: SurvivalSizes, tile_width: int) -> None:
        super().__init__()
        self.tiles = nn.Sequential(nn.Linear(tile_width, sizes.wide), nn.ReLU(), nn.Dropout(sizes.dropout))
        self.pool = GatedAttentionPool(sizes.wide, sizes.dim, sizes.dropout)
        self.out = nn.Sequential(nn.Linear(sizes.wide, sizes.dim), nn.ReLU(), nn.Dropout(sizes.dropout))
        self.classifier = nn.Linear(sizes.dim, BINS)

    def forward(self, batch: Batch) -> Tensor:
        logits: Tensor = self.classifier(self.out(self.pool(self.tiles(batch.tiles), batch.padding)))
        return logits


class DeepSets(nn.Module):
    """Tiles one by one, then their mean, or their sum as released: the slide alone (Zaheer et al., NeurIPS 2017).

    A sum over thousands of tiles saturates the hazards, all risks are tied and C is 0.5: MCAT's table shows that.
    """

    def __init__(self, sizes: SurvivalSizes, tile_width: int, *, mean: bool = True) -> None:
        super().__init__()
        self.mean = mean
        self.tiles = nn.Sequential(nn.Linear(tile_width, sizes.wide), nn.ReLU(), nn.Dropout(sizes.dropout))
        self.out = nn.Sequential(nn.Linear(sizes.wide, sizes.dim), nn.ReLU(), nn.Dropout(sizes.dropout))
        self.classifier = nn.Linear(sizes.dim, BINS)

    def forward(self, batch: Batch) -> Tensor:
        pooled = masked_pool(self.tiles(batch.tiles), batch.padding, mean=self.mean)
        logits: Tensor = self.classifier(self.out(pooled))
        return logits
