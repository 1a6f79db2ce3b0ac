"""MCAT with UNI"""

from __future__ import annotations

from typing import ClassVar

from baselines.survival.parts.mcat import Mcat, mcat_card, past_mean
from protocols.contract import Card


class McatUNI(Mcat):
    card: ClassVar[Card] = mcat_card(
        "mcat_uni",
        "MCAT with UNI",
        "uni",
        training_overlap="Mass-100K, private hospital slides; no TCGA (secondary source)",
        published=past_mean(0.6926, logrank_brca=0.552),
    )
