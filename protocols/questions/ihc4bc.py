"""Virtual IHC: H&E patch in, IHC patch out, scored as an image and as a clinical read-out.

PAST states no split; patches of IHC4BC overlap by half, so folds are by patient and an audit proves that no pixel is on
both sides. Pairs are neighbouring sections: a perfect answer does not reach a perfect score, and the oracle and scores
that tolerate small shifts say by how much.
"""

from __future__ import annotations

from protocols.metric import Metric
from protocols.protocol import Protocol
from protocols.task import Part

PROTOCOL = Protocol(
    name="ihc4bc",
    version="2",
    task="staining",
    title="Virtual IHC",
    question="Train on some patients' pairs of H&E and IHC patches, draw the IHC of the other patients' H&E.",
    source="PAST (arXiv 2507.06418), virtual immunohistochemistry; IHC4BC (data set)",
    target="the IHC patch of the neighbouring section, 8-bit RGB",
    split=Part("protocols.staining.splits:folds_by_patient"),
    metrics=(
        Metric(
            "psnr",
            "PSNR",
            "Peak signal-to-noise ratio over 8-bit RGB (range 255), mean over a patient's tiles, then over patients",
            nothing=0.0,
            unit="dB",
        ),
        Metric("ssim", "SSIM", "structural similarity, 7 x 7 windows, as scikit-image's default"),
        Metric("ssim_global", "SSIM, global", "one window an image: the form that PAST prints"),
        Metric("psnr_shift", "PSNR, shifts", "the best over small whole-pixel shifts, on the central pixels"),
        Metric("ssim_shift", "SSIM, shifts", "the best over small whole-pixel shifts, on the central pixels"),
        Metric("psnr_registered", "PSNR, registered", "against the IHC on the H&E's own grid; phantoms only"),
        Metric(
            "h_score_r",
            "H-score r",
            "Pearson r of patches' H-scores with the labels; an image without a nucleus is the farther of 0 and 300",
            nothing=0.0,
        ),
        Metric(
            "h_score_answered",
            "H-score answered",
            "share of labelled patches whose generated image has a nucleus; the others count as the farther end",
            None,
        ),
        Metric("h_score_bias", "H-score bias", "mean of image minus label, on the scale 0 to 300", None, 0.0),
        Metric(
            "h_score_pipeline_r",
            "Pipeline r",
            "the same for the true image: what the H-score pipeline itself can reach",
            None,
        ),
    ),
    place=70,
)
