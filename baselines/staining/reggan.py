"""RegGAN in its default mode, NC+R: no cycle, and a registration network that learns each pair's misalignment."""

from __future__ import annotations

from typing import ClassVar

from baselines.staining.parts.answer import published
from baselines.staining.parts.gan_models import Reggan, gan_card
from protocols.contract import Card


class RegGAN(Reggan):
    card: ClassVar[Card] = gan_card(
        "reggan",
        "RegGAN (NC+R)",
        "ResNet generator, averaged PatchGAN, registration network; 20 L1 after warping, 10 smoothness.",
        published=published(23.8, 0.60),
        notes=("PAST does not say which of RegGAN's modes or settings it ran.",),
    )
