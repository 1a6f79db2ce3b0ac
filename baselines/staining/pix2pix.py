"""pix2pix with RegGAN's networks, as that code compares the two: a judge that sees the H&E, 100 L1."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from baselines.staining.parts.answer import profiled
from baselines.staining.parts.gan_models import PAPER, AdversarialNetwork, gan_card
from protocols.contract import Card

if TYPE_CHECKING:
    from baselines.training.image_training import Learner


class Pix2pix(AdversarialNetwork):
    card: ClassVar[Card] = gan_card(
        "pix2pix",
        "pix2pix, ResNet",
        "Conditional averaged PatchGAN, least squares, 100 L1.",
        paper=f"pix2pix, Isola et al., CVPR 2017, as run by {PAPER}",
        notes=(
            "The original has a U-Net with dropout and a logistic loss over the map of scores.",
            "Pairs as they come; the released trainer turns each image by up to 5 degrees and shifts it by up to 10 %.",
        ),
    )

    def learner(self, profile: str, embedding: int) -> Learner:  # noqa: ARG002
        from baselines.networks.reggan_networks import REGGAN_SIZES
        from baselines.training.gan_learners import Pix2pixLearner

        return Pix2pixLearner(profiled(REGGAN_SIZES, profile))
