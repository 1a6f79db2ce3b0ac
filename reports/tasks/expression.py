"""Expression of cells: the staircase of difficulty, and how to read r."""

from __future__ import annotations

from reports.plugins import Plugin

PLUGIN = Plugin(
    staircase=(
        "Each step takes something away: unseen blocks of the same slide, then unseen patients, then an unseen cancer. "
        "An honest model goes down."
    ),
    guide=(
        (
            "Expression of cells",
            "r is taken on log-normalised expression of cells that the model has never seen. A gene that is constant "
            "in the measured cells has no r and is left out; a prediction that is constant counts as zero. Both are "
            "counted. The interval resamples patients, never cells: ten thousand cells of one patient are one patient.",
        ),
    ),
)
