"""Deep Sets: slides alone, ResNet-50"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from baselines.survival.parts.discrete_survival import DiscreteSurvival
from baselines.survival.parts.mcat import mcat_table
from protocols.contract import Card

if TYPE_CHECKING:
    from torch import nn

    from baselines.networks.survival_blocks import SurvivalSizes
    from baselines.survival.parts.discrete_survival import Widths


class DeepSets(DiscreteSurvival):
    reads_genome: ClassVar[bool] = False
    card: ClassVar[Card] = Card(
        name="deep_sets",
        title="Deep Sets: slides alone, ResNet-50",
        task="survival",
        licence="BSD-3-Clause (this repository)",
        summary="Frozen tile embeddings one by one, their mean, four hazards.",
        encoder="resnet50_layer3",
        paper="Zaheer et al., NeurIPS 2017; as the baseline of MCAT, ICCV 2021",
        needs=("slides",),
        training_overlap="ImageNet photographs only: no histology, no overlap",
        published=mcat_table(
            BLCA=(0.500, None),
            BRCA=(0.500, None),
            GBMLGG=(0.498, 0.014),
            LUAD=(0.496, 0.008),
            UCEC=(0.500, None),
        ),
        notes=("Tiles are averaged; the released sum over tiles saturates, and its 0.500 are ties.",),
    )

    def network(self, sizes: SurvivalSizes, widths: Widths) -> nn.Module:
        from baselines.networks.survival_networks import DeepSets

        return DeepSets(sizes, widths.tile)
