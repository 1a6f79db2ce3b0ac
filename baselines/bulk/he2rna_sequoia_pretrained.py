"""HE2RNA as SEQUOIA re-implemented it, pre-trained on normal tissue."""

from __future__ import annotations

from typing import ClassVar, Literal

from baselines.bulk.parts.answer import StartsFromNormal
from baselines.bulk.parts.models import He2rna, he2rna_card
from baselines.bulk.parts.sequoia_published import cptac_table, tcga_tables
from protocols.bulk.contract import GroupedBy
from protocols.contract import Card


class HE2RNASequoiaPretrained(StartsFromNormal, He2rna):
    recipe: ClassVar[Literal["original", "sequoia"]] = "sequoia"
    grouped_by: ClassVar[GroupedBy] = "features"
    mean_bias: ClassVar[bool] = False
    published_schedule: ClassVar[bool] = True
    card: ClassVar[Card] = he2rna_card(
        "he2rna_sequoia_pretrained",
        "HE2RNA in SEQUOIA's form, pre-trained",
        pretrained=True,
        published=(*tcga_tables("he2rna_pretrain"), *cptac_table("he2rna_pretrain")),
        notes=(
            "As SEQUOIA re-implemented it: 256-256, dropout 0.5, no start at the mean, super-tiles by features.",
            "Pre-training runs all its epochs at 3e-3, as released.",
        ),
    )
