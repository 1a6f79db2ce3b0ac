"""SEQUOIA as the later release has it: summary mixing over super-tiles of UNI features, from scratch."""

from __future__ import annotations

from typing import ClassVar, Literal

from baselines.bulk.parts.models import Sequoia, sequoia_card
from protocols.contract import Card


class SequoiaViS(Sequoia):
    mixer: ClassVar[Literal["vit", "vis"]] = "vis"
    card: ClassVar[Card] = sequoia_card(
        "sequoia_vis",
        "SEQUOIA ViS, UNI",
        "uni",
    )
