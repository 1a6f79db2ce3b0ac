"""MCAT with PAST's image encoder"""

from __future__ import annotations

from typing import ClassVar

from baselines.survival.parts.mcat import Mcat, mcat_card, past_mean
from protocols.contract import Card


class McatPAST(Mcat):
    card: ClassVar[Card] = mcat_card(
        "mcat_past",
        "MCAT with PAST's image encoder",
        "past",
        training_overlap="public Xenium slides; starts from UNI",
        published=past_mean(0.6953, logrank_brca=0.0403),
    )
