"""HE2RNA as its own paper has it: super-tiles by coordinates, a shared MLP, top-k pooling."""

from __future__ import annotations

from typing import ClassVar

from baselines.bulk.parts.models import He2rna, he2rna_card
from protocols.contract import Card


class HE2RNA(He2rna):
    card: ClassVar[Card] = he2rna_card(
        "he2rna",
        "HE2RNA, ResNet-50",
        notes=(
            "Labels are log2(v + 1) of FPKM-UQ, as for all models here; the original used log10.",
            "Tiles go through torchvision's ResNet-50, not Keras's, and without the original's colour stretch.",
        ),
    )
