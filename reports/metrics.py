"""What a task's leaderboards show: the headline and the secondary metrics, in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Form = Literal["number", "p", "count"]


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
    "bulk": TaskMetrics(
        headline="Pearson r",
        means="Pearson r per gene over a fold's patients, mean over folds and genes",
        axis="Pearson r",
        nothing=0.0,
        secondary={
            "well_predicted": Secondary(
                "Well predicted", "genes: r > 0, p < .05, better than the untrained twin (p < .05, BH < .2)", "count"
            ),
            "top_median": Secondary("Top r", "median r of the top genes, chosen on patients of the training side"),
            "top_median_as_published": Secondary(
                "Top r, as published", "median r of the top genes, chosen on the very test data that it is taken on"
            ),
            "pearson_pooled": Secondary("Pooled r", "all folds joined, as published: the train mean falls below zero"),
            "pearson_pooled_slides": Secondary("Pooled r, slides", "joined, with slides as units: as published"),
            "rmse": Secondary("RMSE", "root mean squared error of log2(v + 1), mean over genes: lower is better"),
            "external_pearson": Secondary("External r", "mean of the five models on another cohort's patients"),
            "external_held_share": Secondary(
                "Held", "share of well-predicted genes that are well predicted in the external cohort, too"
            ),
            "pearson_invisible_genes": Secondary(
                "Invisible r", "Pearson r of genes that leave no trace on slides: an honest model is at zero"
            ),
        },
    ),
    "spatial": TaskMetrics(
        headline="Pearson r of maps",
        means="Pearson r between percentile maps, mean over genes, then over patients",
        axis="Pearson r of maps",
        nothing=0.0,
        secondary={
            "beyond_shifts": Secondary(
                "Beyond shifts", "share of maps whose r exceeds 95 % of toroidal shifts of the prediction; chance: .05"
            ),
            "ssim_of_maps": Secondary("SSIM", "structural similarity of maps"),
            "emd_median": Secondary(
                "EMD",
                "Earth Mover's Distance over the root of the tiles, median over genes: lower is nearer, but a "
                "constant map is near, too",
            ),
            "emd_own_genes": Secondary("EMD, own genes", "as published: each model on its own best genes on slides"),
            "emd_by_width": Secondary("EMD by width", "as released: divided by the width of the grid"),
            "subtype_kappa": Secondary("Subtypes κ", "Cohen's kappa of each tile's meta-module"),
        },
    ),
    "image": TaskMetrics(
        headline="PSNR (dB)",
        means="Peak signal-to-noise ratio over 8-bit RGB (range 255), mean over a patient's tiles, then over patients",
        axis="PSNR (dB)",
        nothing=0.0,
        secondary={
            "ssim": Secondary("SSIM", "structural similarity, 7 x 7 windows, as scikit-image's default"),
            "ssim_global": Secondary("SSIM, global", "one window an image: the form that PAST prints"),
            "psnr_shift": Secondary("PSNR, shifts", "the best over small whole-pixel shifts, on the central pixels"),
            "ssim_shift": Secondary("SSIM, shifts", "the best over small whole-pixel shifts, on the central pixels"),
            "psnr_registered": Secondary("PSNR, registered", "against the IHC on the H&E's own grid; phantoms only"),
            "h_score_r": Secondary("H-score r", "Pearson r of patches' H-scores with the labels"),
            "h_score_bias": Secondary("H-score bias", "mean of image minus label, on the scale 0 to 300"),
            "h_score_pipeline_r": Secondary(
                "Pipeline r", "the same for the true image: what the H-score pipeline itself can reach"
            ),
        },
    ),
}
