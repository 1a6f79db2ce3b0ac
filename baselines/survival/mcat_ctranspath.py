"""MCAT with CTransPath"""

from __future__ import annotations

from typing import ClassVar

from baselines.survival.parts.mcat import Mcat, mcat_card
from protocols.contract import Card


class McatCTransPath(Mcat):
    card: ClassVar[Card] = mcat_card(
        "mcat_ctranspath",
        "MCAT with CTransPath",
        "ctranspath",
        training_overlap="TCGA and PAIP: the encoder has seen TCGA slides",
    )
