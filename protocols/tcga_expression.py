"""Whole-transcriptome expression from slides: five folds by patient, well-predicted genes, external cohorts.

The folds are SEQUOIA's recipe (KFold over sorted patients, a tenth of the training patients kept for stopping). The
paper joins the folds' predictions and counts slides; here patients are the units, r is taken within each fold, and the
published forms stand beside it.
"""

from __future__ import annotations

from protocols.bulk.protocol import BulkProtocol

PROTOCOL = BulkProtocol(
    name="tcga_expression",
    version="1",
    title="TCGA-like bulk expression",
    question="Train on four fifths of a cancer's patients, predict every gene of the others' bulk RNA from slides.",
    source="SEQUOIA (Zheng et al., preprint 2023), Methods, training details and identification of genes; HE2RNA",
    target="log2(FPKM-UQ + 1) of the patient's primary tumour",
    headline="pearson_mean",
)
