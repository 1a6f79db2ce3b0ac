"""SEQUOIA as its released code runs: stopping rule, last epoch, unscaled features, and one tile deciding a window."""

from __future__ import annotations

from typing import ClassVar, Literal

from baselines.bulk.parts.models import ONE_TILE, OVERHANG, Sequoia, sequoia_card
from protocols.bulk.contract import WindowRule
from protocols.contract import Card


class SequoiaAsReleased(Sequoia):
    mixer: ClassVar[Literal["vit", "vis"]] = "vis"
    released: ClassVar[bool] = True
    window_rule: ClassVar[WindowRule] = "released"
    standardised: ClassVar[bool] = False
    masked: ClassVar[bool] = False
    mean_bias: ClassVar[bool] = False
    published_schedule: ClassVar[bool] = True
    card: ClassVar[Card] = sequoia_card(
        "sequoia_as_released",
        "SEQUOIA as its code runs",
        "uni",
        notes=(
            "Validation r is averaged over shuffled mini-batches; a last batch of one slide makes it undefined.",
            "The best weights are saved but the last epoch's answer, as in the released code.",
            ONE_TILE,
            OVERHANG,
            "The release skips slides with fewer tiles than places; here they stay, with rows of zeros.",
        ),
    )
