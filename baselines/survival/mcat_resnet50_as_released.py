"""MCAT with ResNet-50, trained as the released code trains it"""

from __future__ import annotations

from typing import ClassVar

from baselines.survival.mcat_resnet50 import McatResNet50
from baselines.survival.parts.mcat import mcat_card
from protocols.contract import Card


class McatResNet50AsReleased(McatResNet50):
    as_released: ClassVar[bool] = True
    card: ClassVar[Card] = mcat_card(
        "mcat_resnet50_as_released",
        "MCAT with ResNet-50, as released: last epoch, weighted draws",
        "resnet50_layer3",
        training_overlap="ImageNet photographs only: no histology, no overlap",
        notes=(
            "No early stopping: the last epoch counts. Patients are drawn with weight 1 / size of bin and censoring.",
            "Gradients left over at an epoch's end are used there, not carried into the next epoch as released.",
            "Bins come from training patients, here too: the released edges look at test outcomes.",
        ),
    )
