"""Inter-patient: does what was learned on some patients of a cancer hold for another patient?"""

from __future__ import annotations

from protocols.expression.metrics import METRICS, TARGET
from protocols.protocol import Protocol
from protocols.task import Part

PROTOCOL = Protocol(
    name="inter_patient",
    version="1",
    task="expression",
    title="Inter-patient single-cell expression",
    question="Train on some patients of a cancer, predict the cells of another patient of the same cancer.",
    source="PAST, Results 'Single-cell gene expression prediction' and Methods B",
    target=TARGET,
    split=Part("protocols.expression.inter_patient:inter_patient"),
    metrics=METRICS,
    disjoint=("patient",),
    place=20,
)
