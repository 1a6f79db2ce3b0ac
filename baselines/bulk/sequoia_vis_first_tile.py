"""SEQUOIA ViS with the released windows: the same fit as ``sequoia_vis``, but one tile decides a window.

They also hang over the right and the lower edge. Not in the default run: it stands beside ``sequoia_vis`` to show what
the released windows alone do to maps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from baselines.bulk.parts.models import ONE_TILE, OVERHANG, sequoia_card
from baselines.bulk.sequoia_vis import SequoiaViS
from protocols.bulk.contract import WindowRule
from protocols.contract import Card, FloatArray

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from baselines.training.bulk_training import Tiles


class SequoiaViSFirstTile(SequoiaViS):
    drawn_as: ClassVar[str] = SequoiaViS.card.name
    window_rule: ClassVar[WindowRule] = "released"
    card: ClassVar[Card] = sequoia_card(
        "sequoia_vis_first_tile",
        "SEQUOIA ViS, released windows",
        "uni",
        notes=(ONE_TILE, OVERHANG),
    )

    def read_windows(self, network: Any, tiles: Tiles, rows: NDArray[np.int64], device: torch.device) -> FloatArray:
        from baselines.bulk.parts.windows import repeat_first_tile

        return repeat_first_tile(network, tiles, rows, device)
