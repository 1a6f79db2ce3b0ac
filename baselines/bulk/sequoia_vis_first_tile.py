"""SEQUOIA ViS with the released windows: the same fit as ``sequoia_vis``, but one tile decides a window.

Not in the default run: it stands beside ``sequoia_vis`` to show what the released bug alone does to maps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from baselines.bulk.parts.models import sequoia_card
from baselines.bulk.sequoia_vis import SequoiaViS
from protocols.contract import Card, FloatArray

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from baselines.training.bulk_training import Tiles


class SequoiaViSFirstTile(SequoiaViS):
    drawn_as: ClassVar[str] = SequoiaViS.card.name
    card: ClassVar[Card] = sequoia_card(
        "sequoia_vis_first_tile",
        "SEQUOIA ViS, released windows",
        "uni",
        notes=("A window's answer is that of its first tile, repeated at every place, as in the released code.",),
    )

    def read_windows(self, network: Any, tiles: Tiles, rows: NDArray[np.int64], device: torch.device) -> FloatArray:
        from baselines.bulk.parts.windows import repeat_first_place

        return repeat_first_place(network, tiles, rows, device)
