"""PAST: image encoder, cell encoder with graph branch, attention fusion, two projections.

Attribute names follow the released checkpoint, so that it can be loaded strictly (:mod:`past_model.weights`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from past_model.cell_encoder import CellEncoder
from past_model.graph_encoder import GraphEncoder
from past_model.image_encoder import ImageEncoder
from past_model.neighbours import LocalGraphs
from past_model.projection import ProjectionHead
from past_model.settings import PastSettings, Variant
from past_model.tokens import PAD, RAW_PAD

GRAPH_LOGIT = -1.0
"""Added to the attention logit of the graph feature, so that the cell's own feature is preferred (released code)."""


@dataclass(frozen=True)
class CellBatch:
    """The cell side of a batch: ``sequence`` int64 ``(batch, context_length)``, gene tokens of every graph node
    int64 ``(nodes, context_length)`` padded with 0, and the graphs."""

    sequence: Tensor
    node_tokens: Tensor
    graphs: LocalGraphs


class Past(nn.Module):
    """The dual encoder. ``forward`` gives unit vectors of both modalities, each ``(batch, projection_dim)``."""

    attn_bias: Tensor

    def __init__(self, settings: PastSettings, variant: Variant, table_rows: int) -> None:
        super().__init__()
        self.variant = variant
        self.image_encoder = ImageEncoder(settings)
        self.cell_encoder = CellEncoder(settings, table_rows, pool_padding=variant.pool_padding)
        node_features = settings.context_length if variant.raw_id_nodes else settings.cell_dim
        self.graph_encoder = GraphEncoder(settings, node_features, distances=variant.graph_distances)
        self.fusion_layer = nn.MultiheadAttention(settings.cell_dim, settings.fusion_heads, batch_first=True)
        self.fusion_norm = nn.LayerNorm(settings.cell_dim)
        projection = (settings.projection_dim, settings.projection_dropout)
        self.image_projection = ProjectionHead(settings.image_dim, *projection)
        self.cell_projection = ProjectionHead(settings.cell_dim, *projection)
        self.temperature = nn.Parameter(torch.tensor(settings.temperature))
        self.register_buffer("attn_bias", torch.tensor([[0.0, GRAPH_LOGIT]]))

    def forward(self, crops: Tensor, cells: CellBatch) -> tuple[Tensor, Tensor]:
        image = self.image_projection(self.image_encoder(crops))
        return image, self.cell_projection(self.cell_features(cells))

    def cell_features(self, cells: CellBatch) -> Tensor:
        """Transformer and graph feature fused by attention: float32 ``(batch, cell_dim)``."""
        own = self.cell_encoder(cells.sequence)
        around = self.graph_encoder(self.node_features(cells.node_tokens), cells.graphs)
        both = torch.stack([own, around], dim=1)
        attended, _ = self.fusion_layer(own.unsqueeze(1), both, both, need_weights=False, attn_mask=self.attn_bias)
        fused: Tensor = self.fusion_norm(attended.squeeze(1) + own)
        return fused

    def node_features(self, tokens: Tensor) -> Tensor:
        """Raw ids as numbers ``(nodes, context_length)``, or mean gene embeddings ``(nodes, cell_dim)``."""
        if self.variant.raw_id_nodes:
            return tokens.float()
        genes = torch.where(tokens == RAW_PAD, PAD, tokens)
        return functional.embedding_bag(genes, self.cell_encoder.embeddings.weight, mode="mean", padding_idx=PAD)
