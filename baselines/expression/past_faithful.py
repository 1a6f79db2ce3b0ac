"""PAST with the choices of its released code, faults included, beside the corrected one."""

from __future__ import annotations

from typing import ClassVar

from baselines.expression.past import LICENCE, NOTES, OVERLAP, PAPER, PAST, PUBLISHED
from protocols.contract import Card


class PASTFaithful(PAST):
    """The released code's branch choices at the same numbers as ``past``: what the corrections are worth."""

    variant: ClassVar[str] = "faithful"
    card: ClassVar[Card] = Card(
        name="past_faithful",
        title="PAST as released (padding pooled, raw ids as node features, no distances, transposed targets)",
        summary="The same sizes and pre-training as past, with the choices of the released code.",
        paper=PAPER,
        starts_from=("uni",),
        checkpoints=("past_faithful",),
        licence=LICENCE,
        needs=("counts",),
        training_overlap=OVERLAP,
        published=PUBLISHED,
        notes=NOTES,
    )
