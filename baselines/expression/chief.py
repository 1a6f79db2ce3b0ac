"""CHIEF tile encoder, frozen, with ridge"""

from __future__ import annotations

from typing import ClassVar

from baselines.expression.parts.probe import RidgeProbe
from protocols.contract import Card


class CHIEF(RidgeProbe):
    card: ClassVar[Card] = Card(
        name="chief",
        title="CHIEF tile encoder, frozen, with ridge",
        summary="Frozen embedding, then ridge (penalty by leave-one-out on training rows).",
        paper="Wang et al., A pathology foundation model for cancer diagnosis and prognosis, Nature 2024",
        licence="AGPL-3.0 (licence file) against GPL-3.0 non-commercial (read-me)",
        encoder="chief",
        training_overlap="60,530 slides of 19 sites, TCGA among them",
        notes=("Tile encoder only: the slide-level attention head has no meaning for a single cell.",),
    )
