"""What is shown of every protocol of proteins."""

from __future__ import annotations

from protocols.metric import Metric

METRICS = (
    Metric("pearson_per_slide", "Pearson r", "Pearson r per marker and slide, mean over both", nothing=0.0),
    Metric(
        "pearson_pooled",
        "Pooled r",
        "as published: all test units of all slides together per marker, so offsets between slides enter",
        nothing=0.0,
    ),
    Metric("spearman_per_slide", "Spearman", "rank correlation per marker and slide, mean over both", nothing=0.0),
    Metric(
        "r_squared",
        "R²",
        "coefficient of determination per marker and slide: offsets and scale count, below zero is worse than the "
        "slide's own mean",
        nothing=0.0,
    ),
    Metric("mse_per_slide", "MSE", "mean squared error in the cohort's measure of intensities", False),
    Metric("ssim_of_maps", "SSIM", "structural similarity of each marker's map, over windows that lie wholly on tiles"),
    Metric(
        "cell_type_f1",
        "Cell types F1",
        "macro F1 of cell types told from predicted proteins by the nearest centroid of the training units' true ones",
    ),
    Metric(
        "cell_type_f1_of_truth",
        "F1 of truth",
        "the same classifier told the true proteins: what it can do at all",
        None,
    ),
    Metric(
        "pearson_invisible_genes",
        "Invisible r",
        "Pearson r of markers that leave no trace in morphology: an honest model is at zero",
        None,
        0.0,
    ),
)
TARGET = "intensities of proteins in the cohort's measure (by default percentile99), fitted on training units"
