"""The adversarial models' cards and sizes: RegGAN in its modes, and pix2pix with RegGAN's generator."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from baselines.staining.parts.answer import MINI_SAVE_EVERY, ImageNetwork, profiled
from protocols.contract import Card, Published

if TYPE_CHECKING:
    from baselines.staining.parts.pairs import Plan
    from baselines.training.image_training import Learner

EPOCHS = 80
PAPER = "RegGAN, Kong et al., NeurIPS 2021; code Kid-Liet/Reg-GAN"
LICENCE = "the released code states none; written anew from the paper, BSD-3-Clause"
NOTES = (
    "Three channels; the released loader and metrics are for one.",
    "The learning rate is constant and the last epoch is kept, as released (its decay setting is not read).",
)


def gan_card(
    name: str, title: str, summary: str, paper: str = PAPER, *, published: tuple[Published, ...] = (),
    notes: tuple[str, ...] = (),
) -> Card:  # fmt: skip
    return Card(
        name=name, title=title, task="staining", summary=summary, paper=paper, licence=LICENCE,
        training_overlap="none: trained on the training fold alone", published=published, notes=(*NOTES, *notes),
    )  # fmt: skip


class AdversarialNetwork(ImageNetwork):
    """Adam 1e-4, batch of one, 80 epochs at full size, as released."""

    own_epochs: ClassVar[int] = EPOCHS
    own_rule: ClassVar[str] = f"{EPOCHS} epochs, as released"
    mini_steps: ClassVar[int] = 150
    noise_level: ClassVar[float] = 0.0

    def plan(self, profile: str) -> Plan:
        from baselines.staining.parts.pairs import Plan

        plans = {
            "full": Plan(1, 1e-4, epochs=EPOCHS, noise_level=self.noise_level),
            "mini": Plan(
                2, 2e-3, steps=self.mini_steps, crop=48, save_every=MINI_SAVE_EVERY, noise_level=self.noise_level
            ),
        }
        plan: Plan = profiled(plans, profile)
        return plan


class Reggan(AdversarialNetwork):
    """``cycle``: C, else NC; ``registers``: with R; ``corrects``: without R, keep the loss that R would have served.

    Every mode is trained on misaligned pairs, ``noise_level`` 1 of the released configuration.
    """

    noise_level: ClassVar[float] = 1.0
    cycle: ClassVar[bool] = False
    registers: ClassVar[bool] = True
    corrects: ClassVar[bool] = False

    def learner(self, profile: str, embedding: int) -> Learner:  # noqa: ARG002
        from baselines.networks.reggan_networks import REGGAN_SIZES
        from baselines.training.gan_learners import RegganLearner, RegganMode

        mode = RegganMode(self.cycle, self.registers, self.corrects)
        return RegganLearner(profiled(REGGAN_SIZES, profile), mode)
