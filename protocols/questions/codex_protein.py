"""Proteins from H&E, patients held out: does what was learned on some patients' CODEX hold for others?"""

from __future__ import annotations

from protocols.expression.protein_metrics import METRICS, TARGET
from protocols.expression.proteins import ProteinProtocol
from protocols.task import Part

PROTOCOL = ProteinProtocol(
    name="codex_protein",
    version="1",
    task="expression",
    title="Proteins from H&E, five folds by patient",
    question="Train on four fifths of the patients, predict every marker of the others' tiles or cells from H&E.",
    source="HEX (Li et al., Nature Medicine 2026), five-fold cross-validation; r per slide is ours, pooled r is theirs",
    target=TARGET,
    split=Part("protocols.expression.five_folds:five_folds"),
    metrics=METRICS,
    disjoint=("patient",),
    place=34,
)
