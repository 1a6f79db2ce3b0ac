"""What a cohort of slides with bulk expression, or of sections, holds of whom: slides, and patients' expression."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from protocols.bulk.cohort import donor_of
from protocols.bulk.store import BulkStore
from protocols.identity.evidence import Evidence, Item
from protocols.identity.tables import sketches_of_rows
from protocols.spatial.store import SectionsStore
from protocols.survival.cohort import SlideFile
from protocols.task import Opened


def evidence(opened: Opened) -> Evidence:
    """A row of normal tissue is a donor's tissue; the person is the donor. Sections are told by their images alone."""
    store: BulkStore | SectionsStore = opened.store
    root = opened.entry.root
    if isinstance(store, SectionsStore):
        return Evidence(_slides(store.slides, root, {}))
    rows = {patient: (row, row + 1) for row, patient in enumerate(store.patients)}
    sketches = sketches_of_rows(store.expression(np.arange(len(store.patients), dtype=np.int64)), store.genes)
    tables = tuple(
        Item("expression", donor_of(patient), rows[patient], has_table=True, tokens=tokens)
        for patient, tokens in zip(store.patients, sketches, strict=True)
    )
    return Evidence((*tables, *_slides(store.slides, root, rows)))


def _slides(slides: Sequence[SlideFile], root: Path, rows: Mapping[str, tuple[int, int]]) -> tuple[Item, ...]:
    return tuple(
        Item(
            f"slide {slide.slide}",
            donor_of(slide.patient),
            rows.get(slide.patient, (0, 0)),
            scan=root / slide.path,
            picture=slide.kind == "image",
        )
        for slide in slides
    )
