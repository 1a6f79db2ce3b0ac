"""What a cohort of slides holds of whom: each slide's image, and its counts."""

from __future__ import annotations

from protocols.expression.store import CohortStore
from protocols.identity.evidence import Evidence, Item
from protocols.identity.tables import CELLS, sketch_of_counts
from protocols.task import Opened


def evidence(opened: Opened) -> Evidence:
    store: CohortStore = opened.store
    root = opened.entry.root
    return Evidence(
        tuple(
            Item(
                f"slide {slide.slide}",
                slide.patient,
                (slide.start, slide.stop),
                scan=root / slide.image,
                picture=True,
                has_table=True,
                tokens=sketch_of_counts(store.matrix(index), slide.genes),
            )
            for index, slide in enumerate(store.slides)
        ),
        CELLS,
    )
