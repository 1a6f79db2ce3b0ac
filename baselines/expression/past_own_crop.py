"""PAST, corrected, with half of each target for the cell's own crop: what its loss lacks when the start is random."""

from __future__ import annotations

from typing import ClassVar

from baselines.expression.past import LICENCE, NOTES, OVERLAP, PAPER, PAST
from protocols.contract import Card


class PASTOwnCrop(PAST):
    """``past`` with one more change, which neither paper nor code has: a cell's own crop always counts as its match."""

    variant: ClassVar[str] = "own_crop"
    card: ClassVar[Card] = Card(
        name="past_own_crop",
        title="PAST with a share of .5 for a cell's own crop in the targets (ours: in neither paper nor code)",
        summary="As past; the share keeps a model that starts at random from making all embeddings equal.",
        paper=PAPER,
        starts_from=("uni",),
        checkpoints=("past_own_crop",),
        licence=LICENCE,
        needs=("counts",),
        training_overlap=OVERLAP,
        notes=(*NOTES, "No published number is this variant's."),
    )
