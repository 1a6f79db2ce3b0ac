"""The question: other patients' slides."""

from protocols.metric import Metric
from protocols.protocol import Protocol
from protocols.task import Part

PROTOCOL = Protocol(
    name="other_patients",
    version="1",
    task="cell_fraction",
    title="Cell fraction",
    question="Learn the share of cells on some patients' slides, tell it for the other patients'.",
    source="nobody's: a toy",
    target="share of a slide's area that is cells",
    metrics=(
        Metric("error", "Mean error", "absolute error, mean over a patient's slides, then over patients", False),
        Metric("pearson", "Pearson r", "over all slides", nothing=0.0),
    ),
    split=Part("cell_fraction.folds:folds"),
)
