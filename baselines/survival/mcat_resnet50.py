"""MCAT with ResNet-50 (third stage)"""

from __future__ import annotations

from typing import ClassVar

from baselines.survival.parts.mcat import Mcat, mcat_card, mcat_table
from protocols.contract import Card


class McatResNet50(Mcat):
    card: ClassVar[Card] = mcat_card(
        "mcat_resnet50",
        "MCAT with ResNet-50 (third stage)",
        "resnet50_layer3",
        training_overlap="ImageNet photographs only: no histology, no overlap",
        published=mcat_table(
            BLCA=(0.624, 0.034),
            BRCA=(0.580, 0.069),
            GBMLGG=(0.817, 0.021),
            LUAD=(0.620, 0.032),
            UCEC=(0.622, 0.019),
        ),
    )
