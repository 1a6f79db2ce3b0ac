"""Deep Sets as MCAT's released code has it: a sum over tiles, last epoch, weighted draws"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from baselines.survival.deep_sets import DeepSets
from protocols.contract import Card

if TYPE_CHECKING:
    from torch import nn

    from baselines.networks.survival_blocks import SurvivalSizes
    from baselines.survival.parts.discrete_survival import Widths


class DeepSetsAsReleased(DeepSets):
    as_released: ClassVar[bool] = True
    card: ClassVar[Card] = Card(
        name="deep_sets_as_released",
        title="Deep Sets as released: sum over tiles, last epoch, weighted draws",
        task="survival",
        licence="BSD-3-Clause (this repository)",
        summary="Frozen tile embeddings one by one, their sum, four hazards.",
        encoder="resnet50_layer3",
        paper="Zaheer et al., NeurIPS 2017; as the baseline of MCAT, ICCV 2021",
        needs=("slides",),
        training_overlap="ImageNet photographs only: no histology, no overlap",
        notes=("Over thousands of tiles the sum saturates the hazards, and all risks are tied: C is 0.5.",),
    )

    def network(self, sizes: SurvivalSizes, widths: Widths) -> nn.Module:
        from baselines.networks.survival_networks import DeepSets as Network

        return Network(sizes, widths.tile, mean=False)
