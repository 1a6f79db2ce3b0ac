"""CONCH (ViT-B/16, attentional pooler), frozen, with ridge"""

from __future__ import annotations

from typing import ClassVar

from baselines.expression.parts.probe import RidgeProbe
from protocols.contract import Card, Published


class CONCH(RidgeProbe):
    card: ClassVar[Card] = Card(
        name="conch",
        title="CONCH (ViT-B/16, attentional pooler), frozen, with ridge",
        summary="Frozen embedding, then ridge (penalty by leave-one-out on training rows).",
        paper="Lu et al., A visual-language foundation model, Nature Medicine 2024",
        licence="CC-BY-NC-ND-4.0 (gated)",
        encoder="conch",
        training_overlap="1.17 M image-caption pairs; overlap unknown",
        published=(
            Published(
                protocol="intra_patient",
                metric="pearson_per_slide",
                words="mean per-gene Pearson r",
                value=0.520,
                spread=0.136,
                spread_is="SD over tumour types, as the sentence says",
                source="PAST, arXiv 2507.06418",
            ),
            Published(
                protocol="inter_patient",
                metric="pearson_per_slide",
                words="mean per-gene Pearson r",
                value=0.477,
                spread=0.130,
                spread_is="SD over tumour types, as the sentence says",
                source="PAST, arXiv 2507.06418",
            ),
        ),
        notes=("Cross-cancer: PAST prints only that every other model stays below r = 0.25.",),
    )
