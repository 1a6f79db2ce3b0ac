"""SEQUOIA as the later release has it, pre-trained on normal tissue."""

from __future__ import annotations

from typing import ClassVar, Literal

from baselines.bulk.parts.answer import StartsFromNormal
from baselines.bulk.parts.models import Sequoia, sequoia_card
from protocols.contract import Card


class SequoiaViSPretrained(StartsFromNormal, Sequoia):
    mixer: ClassVar[Literal["vit", "vis"]] = "vis"
    card: ClassVar[Card] = sequoia_card(
        "sequoia_vis_pretrained",
        "SEQUOIA ViS, pre-trained",
        "uni",
        pretrained=True,
    )
