"""SEQUOIA as the preprint has it: a vision transformer over super-tiles, from scratch."""

from __future__ import annotations

from typing import ClassVar

from baselines.bulk.parts.models import Sequoia, sequoia_card
from baselines.bulk.parts.sequoia_published import tcga_tables
from protocols.contract import Card


class SequoiaViT(Sequoia):
    card: ClassVar[Card] = sequoia_card(
        "sequoia_vit",
        "SEQUOIA ViT, ResNet-50",
        "resnet50",
        published=tcga_tables("sequoia_scratch"),
    )
