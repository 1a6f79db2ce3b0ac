"""RegGAN without its registration network and nothing else: what R alone is worth."""

from __future__ import annotations

from typing import ClassVar

from baselines.staining.parts.gan_models import Reggan, gan_card
from protocols.contract import Card


class RegGANNC(Reggan):
    registers: ClassVar[bool] = False
    corrects: ClassVar[bool] = True
    card: ClassVar[Card] = gan_card(
        "reggan_nc",
        "RegGAN (NC)",
        "As NC+R with the flow held at zero: 20 L1 on the pair, misaligned alike.",
        notes=("The released NC mode drops the L1 together with R: see reggan_nc_as_released.",),
    )
