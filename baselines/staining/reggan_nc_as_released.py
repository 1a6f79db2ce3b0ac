"""RegGAN's NC mode as its code runs: the adversarial loss alone, so that no pair is ever compared."""

from __future__ import annotations

from typing import ClassVar

from baselines.staining.parts.gan_models import Reggan, gan_card
from protocols.contract import Card


class RegGANNCAsReleased(Reggan):
    registers: ClassVar[bool] = False
    card: ClassVar[Card] = gan_card(
        "reggan_nc_as_released",
        "RegGAN NC as released (adversarial loss alone)",
        "Generator and averaged PatchGAN; pairs are never compared.",
        notes=("Nothing ties the made image to its H&E: it may be anything that looks like IHC.",),
    )
