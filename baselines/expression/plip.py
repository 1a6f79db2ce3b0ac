"""PLIP (CLIP ViT-B/32), frozen, with ridge"""

from __future__ import annotations

from typing import ClassVar

from baselines.expression.parts.probe import RidgeProbe
from protocols.contract import Card


class PLIP(RidgeProbe):
    card: ClassVar[Card] = Card(
        name="plip",
        title="PLIP (CLIP ViT-B/32), frozen, with ridge",
        summary="Frozen embedding, then ridge (penalty by leave-one-out on training rows).",
        paper="Huang et al., A visual-language foundation model using medical Twitter, Nature Medicine 2023",
        licence="MIT (setup.py; no licence file)",
        encoder="plip",
        training_overlap="208,414 pairs from the web (OpenPath); overlap unknown",
    )
