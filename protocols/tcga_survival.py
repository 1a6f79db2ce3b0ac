"""TCGA five-fold survival: how well does a model order patients by the time to their event?

PAST and MCAT both ask this with five folds by patient inside each cohort, and a risk from slides and genes. The folds
are a cohort's published ones where it has them, and otherwise stratified by event and time; MCAT's paper scores the
last epoch on the very fold that it reports, so here models stop early on patients of their own training fold.
"""

from __future__ import annotations

from protocols.survival.protocol import SurvivalProtocol

PROTOCOL = SurvivalProtocol(
    name="tcga_survival",
    version="1",
    title="TCGA-like five-fold survival",
    question="Train on four fifths of a cohort's patients, order the others by the time to their event.",
    source="MCAT (Chen et al., ICCV 2021), sections 4.1 and 4.2; PAST (arXiv 2507.06418), Methods, survival",
    folds=5,
)
