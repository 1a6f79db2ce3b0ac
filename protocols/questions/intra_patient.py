"""Intra-patient: can a model fill in the rest of a slide whose other regions it has seen?"""

from __future__ import annotations

from protocols.expression.metrics import METRICS, TARGET
from protocols.protocol import Protocol
from protocols.task import Part

PROTOCOL = Protocol(
    name="intra_patient",
    version="1",
    task="expression",
    title="Intra-patient single-cell expression",
    question="Train on some regions of a slide, predict the cells of a held-out region of the same slide.",
    source="PAST, Results 'Single-cell gene expression prediction' and Methods B; region sizes are not stated there",
    target=TARGET,
    split=Part("protocols.expression.intra_patient:intra_patient"),
    metrics=METRICS,
    disjoint=(),
    place=10,
)
