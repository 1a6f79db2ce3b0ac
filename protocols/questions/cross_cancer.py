"""Cross-cancer: does it hold for a cancer type that was never seen?"""

from __future__ import annotations

from protocols.expression.metrics import METRICS, TARGET
from protocols.protocol import Protocol
from protocols.task import Part

PROTOCOL = Protocol(
    name="cross_cancer",
    version="1",
    task="expression",
    title="Cross-cancer single-cell expression",
    question="Train on other cancers, predict the cells of a cancer that was never seen.",
    source="PAST, Results 'Single-cell gene expression prediction' and Methods B (leave-one-cancer-out as in Fig. 2c)",
    target=TARGET,
    split=Part("protocols.expression.cross_cancer:cross_cancer"),
    metrics=METRICS,
    disjoint=("patient", "cancer"),
    place=30,
)
