"""What a cohort of treated patients holds of whom: each patient's features."""

from __future__ import annotations

import numpy as np

from protocols.identity.evidence import Evidence, Item
from protocols.identity.tables import sketches_of_rows
from protocols.response.store import ResponseStore
from protocols.task import Opened


def evidence(opened: Opened) -> Evidence:
    """Features alone: somebody entered twice may have been judged otherwise the second time."""
    store: ResponseStore = opened.store
    names = (*store.clinical_features, *store.protein_features)
    rows = {patient: (row, row + 1) for row, patient in enumerate(store.patients)}
    if not names:
        return Evidence(tuple(Item("response", patient, rows[patient]) for patient in store.patients))
    sketches = sketches_of_rows(np.concatenate([store.clinical, store.proteins], axis=1), names)
    return Evidence(
        tuple(
            Item("features", patient, rows[patient], has_table=True, tokens=tokens)
            for patient, tokens in zip(store.patients, sketches, strict=True)
        )
    )
