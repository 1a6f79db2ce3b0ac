"""The single-cell branch: a post-norm transformer over rank tokens (Nicheformer's, as PAST uses it)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from past_model.settings import PastSettings
from past_model.tokens import CONTEXT_TOKENS, PAD


class CellEncoder(nn.Module):
    """Sequences, int64 ``(n, context_length)``, to one vector a cell, float32 ``(n, cell_dim)``.

    Learnable positions, no dropout, ReLU, layer-norm after each residual; Xavier-normal linear layers and N(0, 0.02)
    embeddings. ``pool_padding`` averages over every gene position as the released code does; otherwise padding is
    left out and a cell without any gene pools to zero.
    """

    def __init__(self, settings: PastSettings, table_rows: int, *, pool_padding: bool) -> None:
        super().__init__()
        self.pool_padding = pool_padding
        self.embeddings = nn.Embedding(table_rows, settings.cell_dim, padding_idx=PAD)
        self.positional_embedding = nn.Embedding(settings.context_length, settings.cell_dim)
        layer = nn.TransformerEncoderLayer(
            settings.cell_dim, settings.cell_heads, settings.cell_feedforward, dropout=0.0, batch_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, settings.cell_layers, enable_nested_tensor=False)
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_normal_(module.weight)
                nn.init.zeros_(module.bias)
        # This also fills the padding row, in the released code as here: padding is masked as a key anyway.
        nn.init.normal_(self.embeddings.weight, std=0.02)
        nn.init.normal_(self.positional_embedding.weight, std=0.02)

    def forward(self, sequence: Tensor) -> Tensor:
        padding = sequence == PAD
        positions = torch.arange(sequence.shape[1], device=sequence.device)
        hidden = self.embeddings(sequence) + self.positional_embedding(positions)
        for layer in self.encoder.layers:
            hidden = layer(hidden, src_key_padding_mask=padding)
        return self._pool(hidden[:, len(CONTEXT_TOKENS) :], padding[:, len(CONTEXT_TOKENS) :])

    def _pool(self, hidden: Tensor, padding: Tensor) -> Tensor:
        if self.pool_padding:
            return hidden.mean(dim=1)
        kept = (~padding).to(hidden.dtype).unsqueeze(-1)
        return (hidden * kept).sum(dim=1) / kept.sum(dim=1).clamp(min=1.0)
