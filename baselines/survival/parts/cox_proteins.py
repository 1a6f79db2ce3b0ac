"""The elastic-net Cox regressions of proteins: one way to fit, three choices of columns; and their cards."""

from __future__ import annotations

from baselines.survival.cox_elastic_net import INNER_FOLDS, L1_RATIO
from protocols.contract import Card, FloatArray
from protocols.survival.contract import PatientInputs

NICHE = "niche_"
"""Columns of the protein table so named say who lies beside whom; the others, what there is (``mean_CD8``)."""


def means(data: PatientInputs) -> FloatArray:
    """The columns of the protein table that know nothing of space, float32 ``(n, k)``."""
    kept = [not name.startswith(NICHE) for name in data.protein_features]
    return data.proteins[:, kept]


def cox_card(name: str, reads: str, needs: tuple[str, ...]) -> Card:
    """A card of one of them; ``reads``: what it is fitted on, in words."""
    return Card(
        name=name,
        title=f"Reference: Cox elastic net on {reads}",
        task="survival",
        licence="BSD-3-Clause (this repository)",
        summary=f"scikit-survival's Coxnet, l1_ratio {L1_RATIO}, penalty by {INNER_FOLDS}-fold CV inside training.",
        paper="Simon et al., Journal of Statistical Software 2011",
        needs=needs,
        training_overlap="none: fitted on the training fold alone; of the proteins, whatever measured or drew them",
    )
