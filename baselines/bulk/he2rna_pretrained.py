"""HE2RNA as its own paper has it, pre-trained on normal tissue as SEQUOIA is."""

from __future__ import annotations

from typing import ClassVar

from baselines.bulk.parts.answer import StartsFromNormal
from baselines.bulk.parts.models import He2rna, he2rna_card
from protocols.contract import Card


class HE2RNAPretrained(StartsFromNormal, He2rna):
    card: ClassVar[Card] = he2rna_card(
        "he2rna_pretrained",
        "HE2RNA, pre-trained",
        pretrained=True,
        notes=(
            "Labels are log2(v + 1) of FPKM-UQ, as for all models here; the original used log10.",
            "Tiles go through torchvision's ResNet-50, not Keras's, and without the original's colour stretch.",
            "Pre-training is SEQUOIA's idea: Adam 3e-3, stopped on the loss; HE2RNA's paper has none.",
        ),
    )
