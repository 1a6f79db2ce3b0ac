"""CTransPath (Swin-T with conv stem), frozen, with ridge"""

from __future__ import annotations

from typing import ClassVar

from baselines.expression.parts.probe import RidgeProbe
from protocols.contract import Card


class CTransPath(RidgeProbe):
    card: ClassVar[Card] = Card(
        name="ctranspath",
        title="CTransPath (Swin-T with conv stem), frozen, with ridge",
        summary="Frozen embedding, then ridge (penalty by leave-one-out on training rows).",
        paper="Wang et al., Transformer-based unsupervised contrastive learning, Medical Image Analysis 2022",
        licence="GPL-3.0, wording restricts to non-commercial use",
        encoder="ctranspath",
        training_overlap="about 15 M patches of TCGA and PAIP: overlaps every TCGA task",
    )
