"""The learning gate: what a model makes of a signal that was planted in a task's made-up data, and is easy to read.

Every task says in ``learning.py`` what it plants and how recovery is measured; one number makes tasks comparable: the
share of the way from knowing nothing to the best answer there is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocols.contract import FloatArray, ScheduleRecord

Numbers = NDArray[np.floating]


@dataclass(frozen=True)
class Plant:
    """How much is made up, 0 being the toy's own: ``units`` to learn on, ``width`` of the frozen embedding, ``pixels``
    of an image. A smoke test of published sizes takes theirs."""

    units: int = 0
    width: int = 0
    pixels: int = 0

    def widened(self, features: FloatArray) -> FloatArray:
        """Features ``(…, d)`` as ``(…, width)``: the same numbers again and again, and no other."""
        return features[..., np.arange(self.width) % features.shape[-1]] if self.width else features


USUAL = Plant()
LEAST = 0.75
"""Share of the way from an answer without insight to the planted truth itself that a model must go at least."""


@dataclass(frozen=True)
class Learned:
    """``recovered``, ``nothing`` and ``best`` on the scale of ``measure``: of the model on units that it has not seen,
    of an answer without insight, and of the planted truth itself; ``least``: the share of the way between the two that
    a model must go. ``loss_must_fall``: a closed-form head answers, which reads the signal off features that nothing
    was learned into, too; so what is trained below it is judged by its loss."""

    signal: str
    measure: str
    recovered: float
    nothing: float
    best: float
    schedule: tuple[ScheduleRecord, ...] = ()
    least: float = LEAST
    loss_must_fall: bool = False

    @property
    def threshold(self) -> float:
        return self.nothing + self.least * (self.best - self.nothing)

    @property
    def share(self) -> float:
        """0: nothing was learned; 1: all that there is. May be negative."""
        return (self.recovered - self.nothing) / (self.best - self.nothing)


def mean_r(answer: Numbers, truth: Numbers) -> float:
    """Pearson r of each column ``(n, columns)`` of an answer with the truth's, averaged; a constant column counts 0."""
    x, y = np.asarray(answer, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    scale = np.sqrt((x**2).sum(axis=0) * (y**2).sum(axis=0))
    told = scale > 1e-9
    return float(np.divide((x * y).sum(axis=0), scale, out=np.zeros_like(scale), where=told).mean())
