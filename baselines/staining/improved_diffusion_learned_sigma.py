"""Improved diffusion with a learned variance: the error of the noise plus the variational bound."""

from __future__ import annotations

from typing import ClassVar, Literal

from baselines.staining.parts.diffusion_models import LICENCE, NOTES, PAPER, Diffusion
from protocols.contract import Card


class ImprovedDiffusionLearnedSigma(Diffusion):
    variance: ClassVar[Literal["small", "large", "learned"]] = "learned"
    card: ClassVar[Card] = Card(
        name="improved_diffusion_learned_sigma",
        title="Improved diffusion, learned variance",
        task="staining",
        summary="As improved_diffusion; the log-variance lies between posterior and beta, taught by the bound alone.",
        paper=PAPER,
        licence=LICENCE,
        training_overlap="none: trained on the training fold alone",
        notes=NOTES,
    )
