"""PAST's generator: a U-Net of which every stage is modulated by the patch's embedding (PAST, virtual IHC, FiLM).

The paper gives the modulation, x (1 + gamma) + beta with both from the projected embedding, and leaves generator,
loss and schedule unsaid; the U-Net is ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from baselines.networks.image_networks import UNET_SIZES, UNet, UNetSizes


@dataclass(frozen=True)
class FilmSizes:
    """The U-Net's channels and the width of the projected embedding."""

    unet: UNetSizes
    projected: int


FILM_SIZES = {"full": FilmSizes(UNET_SIZES["full"], 256), "mini": FilmSizes(UNET_SIZES["mini"], 16)}


def film(x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
    """``x (1 + gamma) + beta``: ``(n, c, h, w)`` by ``(n, c)`` each."""
    return x * (1 + gamma[:, :, None, None]) + beta[:, :, None, None]


class EmbeddingScale(nn.Module):
    """Embedding less the training mean, over the training SD; buffers, set before the first step."""

    mean: Tensor
    spread: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("spread", torch.ones(width))

    def set(self, mean: Tensor, spread: Tensor) -> None:
        self.mean.copy_(mean)
        self.spread.copy_(spread)

    def forward(self, embedding: Tensor) -> Tensor:
        return (embedding - self.mean) / self.spread


class FilmGenerator(nn.Module):
    """H&E ``(n, 3, h, w)`` and embedding ``(n, d)`` to IHC. The modulation starts as the identity."""

    def __init__(self, sizes: FilmSizes, embedding: int) -> None:
        super().__init__()
        self.unet = UNet(sizes.unet)
        self.scale = EmbeddingScale(embedding)
        self.project = nn.Sequential(nn.Linear(embedding, sizes.projected), nn.SiLU())
        self.modulations = nn.ModuleList(nn.Linear(sizes.projected, 2 * width) for width in self.unet.stages)
        for layer in self.modulations:
            nn.init.zeros_(layer.weight)  # type: ignore[arg-type]
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, he: Tensor, embedding: Tensor) -> Tensor:
        projected = self.project(self.scale(embedding))

        def modulate(stage: int, x: Tensor) -> Tensor:
            gamma, beta = self.modulations[stage](projected).chunk(2, dim=1)
            return film(x, gamma, beta)

        image: Tensor = self.unet(he, modulate)
        return image
