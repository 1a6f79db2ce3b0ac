"""Spatial maps by models that were trained on slides: does a bulk model know where a gene is expressed?

The five fold models of one cancer answer windows of 10 x 10 tiles of sections with spatial transcriptomics; a tile's
value is the mean over the windows that cover it. The paper's Earth Mover's Distance hardly tells a good map from a
constant one, so maps are ranked by Pearson r, and controls stand on every axis.
"""

from __future__ import annotations

from protocols.contract import Card
from protocols.metric import Metric
from protocols.protocol import Protocol

PROTOCOL = Protocol(
    name="gbm_spatial",
    version="2",
    task="bulk",
    title="Spatial maps of slide-trained models",
    question="Ask models trained on bulk expression of slides for maps, and hold them against spatial transcriptomics.",
    source="SEQUOIA (Zheng et al., preprint 2023), Methods, spatial visualization and Earth Mover's Distance",
    target="percentile scores (0 to 100) of each gene over a section's tiles",
    answered_by="tcga_expression",
    controls=(
        Card(
            name="map_shuffled",
            title="Control: the truth's tiles shuffled",
            kind="control",
            task="bulk",
            summary="The truth's own values at random places: no map at all.",
            training_overlap="none",
        ),
        Card(
            name="map_neighbour_mean",
            title="Control: mean of the true neighbours",
            kind="control",
            task="bulk",
            summary="Each tile gets the mean of the truth at its eight neighbours: smoothness alone, told the truth.",
            training_overlap="none",
        ),
    ),
    metrics=(
        Metric(
            "pearson_of_maps",
            "Pearson r of maps",
            "Pearson r between percentile maps, mean over genes, then over patients",
            nothing=0.0,
        ),
        Metric(
            "beyond_trend",
            "Beyond trend",
            "share of maps that correlate beyond their quadratic trends, one-sided p < .05 by Moran spectral "
            "randomisation; chance: .05",
            nothing=0.05,
        ),
        Metric(
            "pearson_detrended", "r beyond trend", "mean Pearson r of what maps have beyond their trends", nothing=0.0
        ),
        Metric(
            "morans_i_truth",
            "Moran's I, truth",
            "how alike neighbouring tiles of the true maps are, mean over genes",
            None,
        ),
        Metric(
            "morans_i_predicted",
            "Moran's I, predicted",
            "of the predicted maps: above the truth's, maps are smoother than the truth",
            None,
        ),
        Metric("ssim_of_maps", "SSIM", "structural similarity of maps"),
        Metric(
            "emd_median",
            "EMD",
            "Earth Mover's Distance over the root of the tiles, median over genes: lower is nearer, but a constant map "
            "is near, too",
            False,
        ),
        Metric("emd_own_genes", "EMD, own genes", "as published: each model on its own best genes on slides", False),
        Metric("emd_by_width", "EMD by width", "as released: divided by the width of the grid", False),
        Metric(
            "subtype_kappa",
            "Subtypes κ",
            "Cohen's kappa of each tile's meta-module; a tile to which the map gives none is wrong",
            nothing=0.0,
        ),
    ),
    place=60,
)
