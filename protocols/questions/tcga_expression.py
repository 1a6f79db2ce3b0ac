"""Whole-transcriptome expression from slides: five folds by patient, well-predicted genes, external cohorts.

The folds are SEQUOIA's recipe (KFold over sorted patients, a tenth of the training patients kept for stopping). The
paper joins the folds' predictions and counts slides; here patients are the units, r is taken within each fold, and the
published forms stand beside it.
"""

from __future__ import annotations

from protocols.metric import Metric
from protocols.protocol import Protocol
from protocols.task import Part

PROTOCOL = Protocol(
    name="tcga_expression",
    version="2",
    task="bulk",
    title="TCGA-like bulk expression",
    question="Train on four fifths of a cancer's patients, predict every gene of the others' bulk RNA from slides.",
    source="SEQUOIA (Zheng et al., preprint 2023), Methods, training details and identification of genes; HE2RNA",
    target="log2(FPKM-UQ + 1) of the patient's primary tumour",
    split=Part("protocols.bulk.splits:five_folds"),
    metrics=(
        Metric(
            "pearson_mean",
            "Pearson r",
            "Pearson r per gene over a fold's patients, without the bias of few patients, mean over folds and genes",
            nothing=0.0,
        ),
        Metric(
            "pearson_mean_as_published",
            "r, biased",
            "the same with plain r, as papers print it: too small by about r (1 - r²) / 2n in folds of n patients",
            nothing=0.0,
        ),
        Metric(
            "well_predicted",
            "Well predicted",
            "genes: r > 0, p < .05, better than the untrained twin (p < .05, BH < .2) if there is one",
            nothing=0.0,
            form="count",
        ),
        Metric("top_median", "Top r", "median r of the top genes, chosen on patients of the training side"),
        Metric(
            "top_median_as_published",
            "Top r, as published",
            "median r of the top genes, chosen on the very test data that it is taken on",
        ),
        Metric("pearson_pooled", "Pooled r", "all folds joined, as published: the train mean falls below zero"),
        Metric("pearson_pooled_slides", "Pooled r, slides", "joined, with slides as units: as published"),
        Metric("rmse", "RMSE", "root mean squared error of log2(v + 1), mean over genes: lower is better", False),
        Metric("external_pearson", "External r", "mean of the five models on another cohort's patients", nothing=0.0),
        Metric("external_held", "Held genes", "well-predicted genes that are so in the external cohort", form="count"),
        Metric(
            "external_held_share",
            "Held",
            "share of well-predicted genes that are well predicted in the external cohort, too",
        ),
        Metric(
            "pearson_invisible_genes",
            "Invisible r",
            "Pearson r of genes that leave no trace on slides: an honest model is at zero",
            None,
            0.0,
        ),
    ),
    place=50,
)
