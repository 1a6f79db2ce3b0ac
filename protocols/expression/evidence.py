"""What a cohort of slides holds of whom: each slide's image, and its counts or intensities."""

from __future__ import annotations

from protocols.expression.store import CohortStore
from protocols.identity.evidence import Evidence, Item
from protocols.identity.tables import CELLS, Tokens, sketch_of_counts, sketch_of_intensities
from protocols.images.tile_folder import recognised_by
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
                scan=recognised_by(root / slide.image),
                picture=True,
                has_table=True,
                tokens=_tokens(store, index),
            )
            for index, slide in enumerate(store.slides)
        ),
        CELLS,
    )


def _tokens(store: CohortStore, index: int) -> Tokens:
    genes = store.slides[index].genes
    if store.measure.of == "intensities":
        return sketch_of_intensities(store.mapped(index), genes)
    return sketch_of_counts(store.matrix(index), genes)
