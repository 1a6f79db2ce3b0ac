"""Attention MIL: slides alone, ResNet-50"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from baselines.survival.parts.discrete_survival import DiscreteSurvival
from baselines.survival.parts.mcat import mcat_table
from protocols.contract import Card

if TYPE_CHECKING:
    from torch import nn

    from baselines.networks.survival_blocks import SurvivalSizes
    from baselines.survival.parts.discrete_survival import Widths


class AttentionMIL(DiscreteSurvival):
    reads_genome: ClassVar[bool] = False
    card: ClassVar[Card] = Card(
        name="attention_mil",
        title="Attention MIL: slides alone, ResNet-50",
        task="survival",
        licence="BSD-3-Clause (this repository)",
        summary="Gated attention over frozen tile embeddings, four hazards.",
        encoder="resnet50_layer3",
        paper="Ilse et al., ICML 2018; as the baseline of MCAT, ICCV 2021",
        needs=("slides",),
        training_overlap="ImageNet photographs only: no histology, no overlap",
        published=mcat_table(
            BLCA=(0.536, 0.038),
            BRCA=(0.564, 0.050),
            GBMLGG=(0.787, 0.028),
            LUAD=(0.559, 0.060),
            UCEC=(0.625, 0.057),
        ),
    )

    def network(self, sizes: SurvivalSizes, widths: Widths) -> nn.Module:
        from baselines.networks.survival_networks import AttentionMil

        return AttentionMil(sizes, widths.tile)
