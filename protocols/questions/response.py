"""Response: how well does a model tell who will respond to a treatment?

HEX's paper asks it of immunotherapy in lung cancer: 148 patients, cross-validation alone, and neither the classifier
nor the data were released. So folds are ours (five by patient, stratified by response), whoever has such answers can
hand them in, and the paper's numbers stand as claims beside PD-L1, TMB and clinical variables measured here.
"""

from __future__ import annotations

from protocols.metric import Metric
from protocols.protocol import Protocol
from protocols.task import Part

PROTOCOL = Protocol(
    name="response",
    version="1",
    task="response",
    title="Response to treatment, five folds",
    question="Train on four fifths of a cohort's patients, tell for the others how likely they respond.",
    source="HEX (Li et al., Nature Medicine 2026), response to immunotherapy",
    target="response, yes or no, as the cohort's endpoint defines it",
    split=Part("protocols.response.splits:stratified"),
    metrics=(
        Metric("auc_mean", "AUC", "area under the ROC curve within each fold, mean over folds", nothing=0.5),
        Metric("auc_sd", "SD", "population standard deviation over folds", None),
        Metric("auc_pooled", "Pooled AUC", "all folds' patients together, so offsets between folds enter", nothing=0.5),
        Metric("auprc_mean", "AUPRC", "average precision within each fold, mean over folds"),
        Metric("auprc_low", "AUPRC from", "lower end of its 95 % interval over patients", None),
        Metric("auprc_high", "AUPRC to", "upper end of its 95 % interval over patients", None),
        Metric("brier", "Brier", "mean squared difference of probability and outcome: lower is better", False),
        Metric("calibration_slope", "Slope", "logistic recalibration; 1 is right, below 1 too extreme", None),
        Metric("calibration_intercept", "Intercept", "calibration in the large; 0 is right, below 0 too high", None),
        Metric("calibration_error", "ECE", "expected calibration error, ten bins of equal width", False),
        Metric(
            "net_benefit",
            "Net benefit",
            "of treating whoever is above the prevalence; treating all or nobody is 0",
            nothing=0.0,
        ),
    ),
    place=45,
)
