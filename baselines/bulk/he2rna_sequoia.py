"""HE2RNA as SEQUOIA re-implemented it: the form in which its tables compare the two."""

from __future__ import annotations

from typing import ClassVar, Literal

from baselines.bulk.parts.models import He2rna, he2rna_card
from baselines.bulk.parts.sequoia_published import tcga_tables
from protocols.bulk.contract import GroupedBy
from protocols.contract import Card


class HE2RNASequoia(He2rna):
    recipe: ClassVar[Literal["original", "sequoia"]] = "sequoia"
    grouped_by: ClassVar[GroupedBy] = "features"
    mean_bias: ClassVar[bool] = False
    published_schedule: ClassVar[bool] = True
    card: ClassVar[Card] = he2rna_card(
        "he2rna_sequoia",
        "HE2RNA in SEQUOIA's form",
        published=tcga_tables("he2rna_scratch"),
        notes=("As SEQUOIA re-implemented it: 256-256, dropout 0.5, no start at the mean, super-tiles by features.",),
    )
