"""SNN: a self-normalising network on the genomic table, no slide"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from baselines.survival.parts.discrete_survival import DiscreteSurvival
from baselines.survival.parts.mcat import mcat_table
from protocols.contract import Card

if TYPE_CHECKING:
    from torch import nn

    from baselines.networks.survival_blocks import SurvivalSizes
    from baselines.survival.parts.discrete_survival import Widths


class SNN(DiscreteSurvival):
    reads_bags: ClassVar[bool] = False
    one_token: ClassVar[bool] = True
    l1: ClassVar[float] = 1e-4
    card: ClassVar[Card] = Card(
        name="snn",
        title="SNN: genomic table alone",
        task="survival",
        licence="BSD-3-Clause (this repository)",
        summary="ELU and alpha dropout on all genomic features, L1 on every weight, four hazards.",
        paper="Klambauer et al., NeurIPS 2017; as the baseline of MCAT, ICCV 2021",
        needs=("genomic",),
        training_overlap="none: fitted on the training fold alone",
        published=mcat_table(
            BLCA=(0.541, 0.016),
            BRCA=(0.466, 0.058),
            GBMLGG=(0.598, 0.054),
            LUAD=(0.539, 0.069),
            UCEC=(0.493, 0.096),
        ),
        notes=("The released SNN does not run, and its features may have held the outcome: see docs/survival.md.",),
    )

    def network(self, sizes: SurvivalSizes, widths: Widths) -> nn.Module:
        from baselines.networks.survival_networks import Snn

        return Snn(sizes, widths.genomic)
