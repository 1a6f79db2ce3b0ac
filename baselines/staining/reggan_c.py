"""RegGAN's C mode, which is CycleGAN: two generators, two judges, a cycle, no pair compared."""

from __future__ import annotations

from typing import ClassVar

from baselines.staining.parts.gan_models import PAPER, Reggan, gan_card
from protocols.contract import Card


class RegGANC(Reggan):
    cycle: ClassVar[bool] = True
    mini_steps: ClassVar[int] = 150
    registers: ClassVar[bool] = False
    card: ClassVar[Card] = gan_card(
        "reggan_c",
        "CycleGAN (RegGAN's C mode)",
        "Both directions, 10 L1 on each cycle, pool of 50 made images; pairs are never compared.",
        paper=f"CycleGAN, Zhu et al., ICCV 2017, as run by {PAPER}",
    )
