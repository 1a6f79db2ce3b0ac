"""MCAT with CONCH"""

from __future__ import annotations

from typing import ClassVar

from baselines.survival.parts.mcat import Mcat, mcat_card, past_mean
from protocols.contract import Card


class McatCONCH(Mcat):
    card: ClassVar[Card] = mcat_card(
        "mcat_conch",
        "MCAT with CONCH",
        "conch",
        training_overlap="1.17 M captioned images, PMC among them; overlap unknown",
        published=past_mean(0.6916, logrank_brca=0.139),
    )
