"""RegGAN's C+R mode: CycleGAN with the registration network and its correction loss."""

from __future__ import annotations

from typing import ClassVar

from baselines.staining.parts.gan_models import Reggan, gan_card
from protocols.contract import Card


class RegGANCR(Reggan):
    cycle: ClassVar[bool] = True
    mini_steps: ClassVar[int] = 150
    card: ClassVar[Card] = gan_card(
        "reggan_c_r",
        "RegGAN (C+R)",
        "CycleGAN plus 20 L1 after warping and 10 smoothness.",
    )
