"""What is shown of every protocol of single-cell expression."""

from __future__ import annotations

from protocols.metric import Metric

METRICS = (
    Metric("pearson_per_slide", "Pearson r", "Pearson r per gene, mean over genes and slides", nothing=0.0),
    Metric("pearson_pooled", "Pooled r", "all test cells of all slides together, so offsets enter", nothing=0.0),
    Metric("spearman_per_slide", "Spearman", "rank correlation per gene, mean over genes and slides", nothing=0.0),
    Metric("mse_per_slide", "MSE", "mean squared error of log-normalised expression", False),
    Metric("ari", "ARI", "adjusted Rand index between clusters of predictions and of truth", nothing=0.0),
    Metric("rare_f1", "Rare F1", "F1 score of the rare cell type"),
    Metric(
        "pearson_invisible_genes",
        "Invisible r",
        "Pearson r of genes that leave no trace in morphology: an honest model is at zero",
        None,
        0.0,
    ),
)
TARGET = "log1p of counts scaled to 10,000 per unit, over the slide's whole panel"
