"""SEQUOIA as the preprint has it, pre-trained on normal tissue."""

from __future__ import annotations

from typing import ClassVar

from baselines.bulk.parts.answer import StartsFromNormal
from baselines.bulk.parts.models import Sequoia, sequoia_card
from baselines.bulk.parts.sequoia_published import cptac_table, spatial_table, tcga_tables
from protocols.contract import Card


class SequoiaViTPretrained(StartsFromNormal, Sequoia):
    card: ClassVar[Card] = sequoia_card(
        "sequoia_vit_pretrained",
        "SEQUOIA ViT, pre-trained",
        "resnet50",
        pretrained=True,
        published=(*tcga_tables("sequoia_pretrain"), *cptac_table("sequoia_pretrain"), *spatial_table()),
    )
