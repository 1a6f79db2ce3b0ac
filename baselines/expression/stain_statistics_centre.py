"""Control: how much of each stain there is in the middle of the crop, where the mini encoders look."""

from __future__ import annotations

from typing import ClassVar

from baselines.expression.stain_statistics import StainStatistics
from protocols.contract import Card


class StainStatisticsCentre(StainStatistics):
    """As :class:`StainStatistics`, on the central half of the crop: the fair control for the mini encoders."""

    view: ClassVar[float] = 0.5
    card: ClassVar[Card] = Card(
        name="stain_statistics_centre",
        title="Control: stain statistics of the crop's centre",
        kind="control",
        summary="As stain_statistics, on the central half of the crop, which is all that mini encoders see.",
        paper="stain vectors: Ruifrok and Johnston, Anal Quant Cytol Histol 2001",
        licence="BSD-3-Clause",
        training_overlap="none",
    )
