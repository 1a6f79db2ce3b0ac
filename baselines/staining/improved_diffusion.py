"""Improved diffusion, conditioned on the H&E: cosine schedule, noise prediction, fixed variance."""

from __future__ import annotations

from typing import ClassVar

from baselines.staining.parts.answer import published
from baselines.staining.parts.diffusion_models import LICENCE, NOTES, PAPER, Diffusion
from protocols.contract import Card


class ImprovedDiffusion(Diffusion):
    card: ClassVar[Card] = Card(
        name="improved_diffusion",
        title="Improved diffusion",
        task="staining",
        summary="U-Net told the H&E by channels, mean squared error of the noise, running mean of weights, respaced.",
        paper=PAPER,
        licence=LICENCE,
        training_overlap="none: trained on the training fold alone",
        published=published(24.3, 0.57),
        notes=NOTES,
    )
