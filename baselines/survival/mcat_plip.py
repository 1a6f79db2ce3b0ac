"""MCAT with PLIP"""

from __future__ import annotations

from typing import ClassVar

from baselines.survival.parts.mcat import Mcat, mcat_card
from protocols.contract import Card


class McatPLIP(Mcat):
    card: ClassVar[Card] = mcat_card(
        "mcat_plip",
        "MCAT with PLIP",
        "plip",
        training_overlap="208,414 pairs from the web (OpenPath); overlap unknown",
    )
