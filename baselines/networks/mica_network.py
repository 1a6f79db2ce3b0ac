"""MICA: protein tokens look at tiles by co-attention, two streams, concatenation; and its release's names.

After HEX (Li et al., Nature Medicine 2026), ``mica/models/model_coattn.py``; parity tests hold numbers to its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn

from baselines.encoders.layout import refuse_misfit
from baselines.networks.survival_blocks import FULL, MINI, Batch, CoAttention, Stream, SurvivalSizes
from baselines.training.survival_loss import BINS

Pooling = Literal["attn", "gap"]

PROFILES = {"full": replace(FULL, learning_rate=1e-5, accumulate=8), "mini": replace(MINI, accumulate=8)}
"""MCAT's sizes, and of the full ones the training that HEX's read-me states: its scripts' defaults are 2e-4 and 32."""

_RENAMED = (
    (r"^wsi_net\.", "tiles."),
    (r"^codex_net\.", "proteins."),
    (r"^coattn\.", "coattention.attention."),
    (r"^(path|codex)_transformer\.", r"\1."),
    (r"^(path|codex)_attention_head\.attention_a\.0\.", r"\1.pool.value.0."),
    (r"^(path|codex)_attention_head\.attention_b\.0\.", r"\1.pool.gate.0."),
    (r"^(path|codex)_attention_head\.attention_c\.", r"\1.pool.score."),
    (r"^(path|codex)_rho\.", r"\1.out."),
    (r"^mm\.", "fusion."),
)


class MicaNetwork(nn.Module):
    """Queries are the protein tokens, keys and values the tiles; the attended tokens, one a protein, are the image's.

    ``shared``: both streams are one and the same module. ``pooling`` ``gap``: the mean over tokens in place of gated
    attention and the layer after it, which then take no part. With tiles of 1,024 and tokens of 384 features
    the full network has 3,325,958 parameters, 2,074,117 if shared.
    """

    def __init__(
        self,
        sizes: SurvivalSizes,
        tile_width: int,
        token_width: int,
        *,
        shared: bool = False,
        pooling: Pooling = "attn",
    ) -> None:
        super().__init__()
        dim, drop = sizes.dim, sizes.dropout
        self.pooling = pooling
        # Plain layers, not the self-normalising blocks of MCAT's signatures.
        self.tiles = nn.Sequential(nn.Linear(tile_width, dim), nn.ReLU(), nn.Dropout(drop))
        self.proteins = nn.Sequential(nn.Linear(token_width, dim), nn.ReLU(), nn.Dropout(drop))
        self.coattention = CoAttention(dim)
        self.path = Stream(sizes)
        self.codex = self.path if shared else Stream(sizes)
        self.fusion = nn.Sequential(nn.Linear(2 * dim, dim), nn.ReLU(), nn.Linear(dim, dim), nn.ReLU())
        self.classifier = nn.Linear(dim, BINS)

    def forward(self, batch: Batch) -> Tensor:
        proteins = self.proteins(batch.extra)
        guided = self.coattention(proteins, self.tiles(batch.tiles), batch.padding)
        branches = [self._pooled(self.path, guided), self._pooled(self.codex, proteins)]
        logits: Tensor = self.classifier(self.fusion(torch.cat(branches, dim=1)))
        return logits

    def _pooled(self, stream: Stream, tokens: Tensor) -> Tensor:
        if self.pooling == "attn":
            pooled: Tensor = stream(tokens)
            return pooled
        for layer in stream.layers:
            tokens = layer(tokens)
        return tokens.mean(dim=1)


def load_released(network: MicaNetwork, state: Mapping[str, Tensor], where: object) -> None:
    """Fill ``network`` from a state dict of the release, by name; an entry too many, too few or of another shape is a
    :class:`~protocols.errors.UserError` that names ``where``.

    With shared streams the release writes the same module twice. Its ``codex_`` names come last, so that on loading
    their values win for both branches; so they do here.
    """
    renamed: dict[str, Tensor] = {}
    for key, value in state.items():
        renamed[next((re.sub(old, new, key) for old, new in _RENAMED if re.match(old, key)), key)] = value
    if network.codex is network.path:
        ours = {key: value for key, value in renamed.items() if key.startswith("codex.")}
        renamed |= {"path." + key.removeprefix("codex."): value for key, value in ours.items()}
    refuse_misfit(
        network.state_dict(),
        renamed,
        where=where,
        expected="a state dict of MICA",
        keys="load the model that MICA's training saved, and say whether its streams are shared",
        shape="say the widths of tiles and tokens that it was trained with",
    )
    network.load_state_dict(renamed)
