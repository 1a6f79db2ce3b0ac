"""MICA: protein tokens of a virtual CODEX image look at the tiles of the slide"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from baselines.networks.hex_claims import mica_claims
from baselines.survival.parts.discrete_survival import DiscreteSurvival
from protocols.contract import Card
from protocols.survival.contract import PatientInputs

if TYPE_CHECKING:
    from torch import nn

    from baselines.networks.survival_blocks import SurvivalSizes
    from baselines.survival.parts.discrete_survival import Widths


def mica_card(name: str, title: str, *notes: str) -> Card:
    """A card of MICA."""
    return Card(
        name=name,
        title=title,
        task="survival",
        encoder="musk",
        summary="Protein tokens query frozen tile embeddings (co-attention), two streams, four hazards.",
        paper="Li et al., HEX, Nature Medicine 2026; code lilab-stanford/HEX, mica/",
        licence="HEX's code is CC-BY-NC-ND-4.0 and was not used",
        needs=("slides", "protein_tokens"),
        training_overlap="MUSK: pre-trained on TCGA slides among others; of the tokens, whatever drew them",
        published=mica_claims(),
        notes=(*notes, "Streams of their own for image and proteins, as released since February 2026."),
    )


class Mica(DiscreteSurvival):
    reads_genome: ClassVar[bool] = False
    card: ClassVar[Card] = mica_card(
        "mica",
        "MICA: MUSK tiles and protein tokens",
        "Stops early on a fifth of the training patients; the released code scores the last epoch on the fold itself.",
        "Bins of follow-up come from training patients; the released code takes them from the whole cohort.",
        "Tiles and tokens are standardised on training patients; the released code feeds them raw.",
    )

    def profiles(self) -> Mapping[str, SurvivalSizes]:
        from baselines.networks.mica_network import PROFILES

        return PROFILES

    def network(self, sizes: SurvivalSizes, widths: Widths) -> nn.Module:
        from baselines.networks.mica_network import MicaNetwork

        return MicaNetwork(sizes, widths.tile, widths.extra)

    def extra_tokens(self, data: PatientInputs, /) -> NDArray[np.float32] | None:
        tokens: NDArray[Any] = np.stack([data.protein_tokens(position) for position in range(len(data))])
        return tokens.astype(np.float32)
