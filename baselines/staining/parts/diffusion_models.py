"""Improved diffusion as a translator of H&E to IHC: sizes, plans and what the variants set."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from baselines.staining.parts.answer import MINI_SAVE_EVERY, ImageNetwork, profiled

if TYPE_CHECKING:
    from baselines.staining.parts.pairs import Plan
    from baselines.training.image_learners import DiffusionSetup
    from baselines.training.image_training import Learner

EPOCHS = 200
PAPER = "Improved DDPM, Nichol and Dhariwal, ICML 2021; code openai/improved-diffusion"
LICENCE = "MIT (released code); written anew, BSD-3-Clause"
NOTES = (
    "PAST gives no settings. The H&E is joined to the noisy image as the code's super-resolution model does.",
    "The released training never stops; here 200 epochs at full size, the rate falling to 0. No augmentation.",
    "The mini profile predicts the image instead of the noise (an option of the released code).",
    "The fixed variance is the posterior's; the released default, beta, leaves noise behind in few steps.",
    "A patch's noise is drawn from its name and the run's seed.",
)


class Diffusion(ImageNetwork):
    """``variance`` of a step back; ``predicts`` and ``sampling_steps`` (0) default to the profile's.

    The mini network predicts the image: in hundreds of steps noise prediction does not learn the image's mean colour,
    which stands only in the noisiest steps, where it is a tiny part of the noise.
    """

    own_epochs: ClassVar[int] = EPOCHS
    own_rule: ClassVar[str] = f"no end: the released training goes on until it is stopped; here {EPOCHS} epochs"
    betas: ClassVar[Literal["cosine", "linear"]] = "cosine"
    variance: ClassVar[Literal["small", "large", "learned"]] = "small"
    predicts: ClassVar[Literal["noise", "image"] | None] = None
    sampling_steps: ClassVar[int] = 0

    def plan(self, profile: str) -> Plan:
        from baselines.staining.parts.pairs import Plan

        plans = {
            "full": Plan(16, 1e-4, epochs=EPOCHS, anneal=True),
            "mini": Plan(4, 4e-3, steps=160, crop=32, anneal=True, save_every=MINI_SAVE_EVERY),
        }
        plan: Plan = profiled(plans, profile)
        return plan

    def setup(self, profile: str) -> DiffusionSetup:
        from baselines.networks.diffusion_process import Reading
        from baselines.networks.diffusion_unet import DIFFUSION_SIZES
        from baselines.training.image_learners import DiffusionSetup

        profiles = {"full": (4000, 50, 0.9999, "noise"), "mini": (100, 8, 0.98, "image")}
        steps, walked, decay, predicts = profiled(profiles, profile)
        reading = Reading(self.variance, self.predicts or predicts)
        sizes = profiled(DIFFUSION_SIZES, profile)
        return DiffusionSetup(sizes, steps, self.sampling_steps or walked, decay, self.betas, reading)

    def learner(self, profile: str, embedding: int) -> Learner:  # noqa: ARG002
        from baselines.training.image_learners import DiffusionLearner

        return DiffusionLearner(self.setup(profile))
