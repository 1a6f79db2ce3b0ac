"""Proteins from H&E elsewhere: another centre's or scanner's slides, asked of the fold models of a development cohort.

Each of the fold models answers every unit, and the mean of their answers is scored, on the markers that both cohorts
have. The truth is in the measure fitted on all units of the development cohort: nothing of the external one is fitted.
"""

from __future__ import annotations

from protocols.expression.protein_metrics import METRICS, TARGET
from protocols.expression.proteins import ProteinProtocol

PROTOCOL = ProteinProtocol(
    name="codex_external",
    version="1",
    task="expression",
    title="Proteins from H&E, external cohort",
    question="Ask the fold models of one cohort for another cohort's markers, and score the mean of their answers.",
    source="HEX (Li et al., Nature Medicine 2026), validation on an independent TMA and on other centres' cohorts",
    target=TARGET,
    answered_by="codex_protein",
    metrics=METRICS,
    disjoint=("patient",),
    place=36,
)
