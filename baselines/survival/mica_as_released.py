"""MICA, trained as the released code trains it"""

from __future__ import annotations

from typing import ClassVar

from baselines.survival.mica import Mica, mica_card
from protocols.contract import Card


class MicaAsReleased(Mica):
    as_released: ClassVar[bool] = True
    weighted: ClassVar[bool] = False
    card: ClassVar[Card] = mica_card(
        "mica_as_released",
        "MICA as released: last epoch, raw features",
        "No early stopping: the last epoch counts. Tiles and tokens are raw; patients are not weighted.",
        "Gradients left over at an epoch's end are stepped there, as released; they count as a mean.",
        "Bins come from training patients, here too: the released edges look at test outcomes, so these are "
        "not its bins, and its hazards are not met.",
    )
