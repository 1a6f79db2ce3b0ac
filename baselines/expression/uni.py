"""UNI (ViT-L/16), frozen, with ridge"""

from __future__ import annotations

from typing import ClassVar

from baselines.expression.parts.probe import RidgeProbe
from protocols.contract import Card, Published


class UNI(RidgeProbe):
    card: ClassVar[Card] = Card(
        name="uni",
        title="UNI (ViT-L/16), frozen, with ridge",
        summary="Frozen embedding, then ridge (penalty by leave-one-out on training rows).",
        paper="Chen et al., Towards a general-purpose foundation model, Nature Medicine 2024",
        licence="CC-BY-NC-ND-4.0 (gated)",
        encoder="uni",
        training_overlap="Mass-100K, private hospital slides; no TCGA (secondary source)",
        published=(
            Published(
                protocol="intra_patient",
                metric="pearson_per_slide",
                words="mean per-gene Pearson r",
                value=0.536,
                spread=0.118,
                spread_is="SD over tumour types, as the sentence says",
                source="PAST, arXiv 2507.06418",
                note="linear head; whether the encoder was frozen is not stated",
            ),
        ),
        notes=("Cross-cancer: PAST prints only that every other model stays below r = 0.25.",),
    )
