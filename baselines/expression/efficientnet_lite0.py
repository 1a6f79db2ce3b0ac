"""EfficientNet-Lite0 (ImageNet), frozen, with ridge"""

from __future__ import annotations

from typing import ClassVar

from baselines.expression.parts.probe import RidgeProbe
from protocols.contract import Card


class EfficientNetLite0(RidgeProbe):
    """A small trained network that can be had anywhere: its weights are a package of 17 MB (extra ``pretrained``).

    It brackets the others from below: what photographs alone teach about tissue.
    """

    card: ClassVar[Card] = Card(
        name="efficientnet_lite0",
        title="EfficientNet-Lite0 (ImageNet), frozen, with ridge",
        summary="Frozen embedding, then ridge (penalty by leave-one-out on training rows).",
        paper="Tan and Le, EfficientNet, ICML 2019; lite variant released 2020",
        licence="Apache-2.0",
        encoder="efficientnet_lite0",
        training_overlap="ImageNet photographs only: no histology, no overlap",
    )
