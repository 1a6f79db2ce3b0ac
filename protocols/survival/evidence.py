"""What a cohort of patients holds of whom: each patient's features, and each slide or bag."""

from __future__ import annotations

import numpy as np

from protocols.identity.evidence import Evidence, Item
from protocols.identity.tables import sketches_of_rows
from protocols.survival.store import PatientStore
from protocols.task import Opened


def evidence(opened: Opened) -> Evidence:
    """Features alone: somebody entered twice may have been followed up for longer the second time."""
    store: PatientStore = opened.store
    names = (*store.clinical_features, *store.genomic_features, *store.protein_features)
    values = np.concatenate([store.clinical, store.genomic, store.proteins], axis=1)
    sketches = sketches_of_rows(values, names) if names else []
    rows = {patient: (row, row + 1) for row, patient in enumerate(store.patients)}
    tables = [
        Item("features", patient, rows[patient], has_table=True, tokens=tokens)
        for patient, tokens in zip(store.patients, sketches, strict=False)
    ]
    people = [Item("follow-up", patient, rows[patient]) for patient in store.patients if not names]
    slides = [
        Item(
            f"slide {slide.slide}",
            slide.patient,
            rows.get(slide.patient, (0, 0)),
            scan=opened.entry.root / slide.path,
            picture=slide.kind == "image",
        )
        for slide in store.slides
    ]
    return Evidence((*tables, *people, *slides))
