"""TCGA five-fold survival: how well does a model order patients by the time to their event?

PAST and MCAT both ask this with five folds by patient inside each cohort, and a risk from slides and genes. The folds
are a cohort's published ones where it has them, and otherwise stratified by event and time; MCAT's paper scores the
last epoch on the very fold that it reports, so here models stop early on patients of their own training fold.
"""

from __future__ import annotations

from protocols.metric import Metric
from protocols.protocol import Protocol
from protocols.task import Part

PROTOCOL = Protocol(
    name="tcga_survival",
    version="1",
    task="survival",
    title="TCGA-like five-fold survival",
    question="Train on four fifths of a cohort's patients, order the others by the time to their event.",
    source="MCAT (Chen et al., ICCV 2021), sections 4.1 and 4.2; PAST (arXiv 2507.06418), Methods, survival",
    target="months from diagnosis to the cohort's endpoint, right-censored",
    split=Part("protocols.survival.splits:published_or_stratified"),
    metrics=(
        Metric("harrell_mean", "C-index", "Harrell's C within each fold, mean over folds", nothing=0.5),
        Metric("harrell_sd", "SD", "population standard deviation over folds, as MCAT prints it", None),
        Metric(
            "harrell_pooled",
            "Pooled C",
            "all folds' test patients together, so offsets between folds enter",
            nothing=0.5,
        ),
        Metric("uno_mean", "Uno C", "C-index with weights for censoring (IPCW), mean over folds", nothing=0.5),
        Metric(
            "brier_integrated",
            "Brier",
            "integrated Brier score: lower is better; of models with curves, one refused counting as the worst",
            False,
        ),
        Metric("auc_mean", "AUC(t)", "cumulative/dynamic AUC, averaged over time", nothing=0.5),
        Metric(
            "logrank_p", "Log-rank p", "halves by median risk of each fold; descriptive, uncorrected", None, form="p"
        ),
    ),
    place=40,
)
