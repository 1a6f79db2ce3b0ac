"""ResNet-50 (ImageNet), frozen, with ridge"""

from __future__ import annotations

from typing import ClassVar

from baselines.expression.parts.probe import RidgeProbe
from protocols.contract import Card


class ResNet50(RidgeProbe):
    card: ClassVar[Card] = Card(
        name="resnet50",
        title="ResNet-50 (ImageNet), frozen, with ridge",
        summary="Frozen embedding, then ridge (penalty by leave-one-out on training rows).",
        paper="He et al., Deep residual learning, CVPR 2016",
        licence="BSD-3-Clause (torchvision weights)",
        encoder="resnet50",
        training_overlap="ImageNet photographs only: none",
    )
