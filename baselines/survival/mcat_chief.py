"""MCAT with CHIEF's tile encoder"""

from __future__ import annotations

from typing import ClassVar

from baselines.survival.parts.mcat import Mcat, mcat_card
from protocols.contract import Card


class McatCHIEF(Mcat):
    card: ClassVar[Card] = mcat_card(
        "mcat_chief",
        "MCAT with CHIEF's tile encoder",
        "chief",
        training_overlap="60,530 slides, TCGA among them: the encoder has seen TCGA slides",
    )
