"""What a task's leaderboards show: the headline and the secondary metrics, in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Form = Literal["number", "p"]


@dataclass(frozen=True)
class Secondary:
    """One more column, by its key in a record's summary."""

    title: str
    hint: str
    form: Form = "number"


@dataclass(frozen=True)
class TaskMetrics:
    """``axis``: the headline as a plot's axis names it; ``nothing``: its value for a model without insight."""

    headline: str
    means: str
    axis: str
    nothing: float
    secondary: dict[str, Secondary]


METRICS: dict[str, TaskMetrics] = {
    "expression": TaskMetrics(
        headline="Pearson r",
        means="Pearson r per gene, mean over genes and slides",
        axis="Pearson r",
        nothing=0.0,
        secondary={
            "pearson_pooled": Secondary("Pooled r", "all test cells of all slides together, so offsets enter"),
            "spearman_per_slide": Secondary("Spearman", "rank correlation per gene, mean over genes and slides"),
            "mse_per_slide": Secondary("MSE", "mean squared error of log-normalised expression"),
            "ari": Secondary("ARI", "adjusted Rand index between clusters of predictions and of truth"),
            "rare_f1": Secondary("Rare F1", "F1 score of the rare cell type"),
            "pearson_invisible_genes": Secondary(
                "Invisible r", "Pearson r of genes that leave no trace in morphology: an honest model is at zero"
            ),
        },
    ),
    "survival": TaskMetrics(
        headline="C-index",
        means="Harrell's C within each fold, mean over folds",
        axis="C-index",
        nothing=0.5,
        secondary={
            "harrell_sd": Secondary("SD", "population standard deviation over folds, as MCAT prints it"),
            "harrell_pooled": Secondary(
                "Pooled C", "all folds' test patients together, so offsets between folds enter"
            ),
            "uno_mean": Secondary("Uno C", "C-index with weights for censoring (IPCW), mean over folds"),
            "brier_integrated": Secondary("Brier", "integrated Brier score: lower is better; of models with curves"),
            "auc_mean": Secondary("AUC(t)", "cumulative/dynamic AUC, averaged over time"),
            "logrank_p": Secondary("Log-rank p", "halves by median risk of each fold; descriptive, uncorrected", "p"),
        },
    ),
}
