"""A plain U-Net that regresses the IHC image on the H&E: what a generator costs and gains without a judge or noise."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from baselines.staining.parts.answer import MINI_SAVE_EVERY, OWN_LICENCE, ImageNetwork, profiled
from protocols.contract import Card

if TYPE_CHECKING:
    from baselines.staining.parts.pairs import Plan
    from baselines.training.image_training import Learner


class IhcUNet(ImageNetwork):
    card: ClassVar[Card] = Card(
        name="ihc_unet",
        title="Plain U-Net",
        task="staining",
        licence=OWN_LICENCE,
        training_overlap="none: trained on the training fold alone",
        summary="Encoder and decoder with skips, added to the least-squares affine map of the colours.",
        notes=("Jittered pairs make it answer with their median: blurred, and for that reason strong in PSNR.",),
    )

    def plan(self, profile: str) -> Plan:
        from baselines.staining.parts.pairs import Plan

        plans = {
            "full": Plan(8, 2e-4, epochs=80, augment=True, anneal=True),
            "mini": Plan(4, 4e-3, steps=140, crop=48, anneal=True, save_every=MINI_SAVE_EVERY),
        }
        plan: Plan = profiled(plans, profile)
        return plan

    def learner(self, profile: str, embedding: int) -> Learner:  # noqa: ARG002
        from baselines.networks.image_networks import UNET_SIZES
        from baselines.training.image_learners import UNetLearner

        return UNetLearner(profiled(UNET_SIZES, profile))
