"""Rows of the encoder table: networks trained on photographs alone."""

from __future__ import annotations

from typing import Any

from baselines.encoders.spec import IMAGENET, MINI_VIEW, EncoderSize, EncoderSpec

RESNET_MINI: dict[str, Any] = {"layers": (1, 1, 1, 1), "channels": (8, 16, 32, 64)}
IMAGENET_ONLY = "ImageNet photographs only: no histology, no overlap"

PHOTOGRAPHS: tuple[EncoderSpec, ...] = (
    EncoderSpec(
        name="resnet50",
        title="ResNet-50 (ImageNet), final pooled features",
        architecture="timm",
        timm_name="resnet50",
        full=EncoderSize(224, 2048, {"num_classes": 0}),
        mini=EncoderSize(48, 256, {"num_classes": 0, **RESNET_MINI}, view=MINI_VIEW),
        normalisation=IMAGENET,
        parameters=23_508_032,
        licence="BSD-3-Clause (torchvision weights)",
        paper="He et al., CVPR 2016",
        training_overlap=IMAGENET_ONLY,
        hub_id="timm/resnet50.tv_in1k",
        hub_file="model.safetensors",
        unused_keys=(r"^fc\.",),
    ),
    EncoderSpec(
        name="resnet50_layer3",
        title="ResNet-50 (ImageNet) cut after the third stage and averaged, as MCAT and CLAM use it",
        architecture="resnet_layer3",
        timm_name="resnet50",
        full=EncoderSize(224, 1024, {"num_classes": 0}),
        mini=EncoderSize(48, 128, {"num_classes": 0, **RESNET_MINI}, view=MINI_VIEW),
        normalisation=IMAGENET,
        parameters=8_543_296,
        licence="BSD-3-Clause (torchvision weights)",
        paper="He et al., CVPR 2016; cut of Lu et al., Nature Biomedical Engineering 2021",
        training_overlap=IMAGENET_ONLY,
        hub_id="timm/resnet50.tv_in1k",
        hub_file="model.safetensors",
        unused_keys=(r"^fc\.", r"^layer4\."),
    ),
    EncoderSpec(
        name="densenet121",
        title="DenseNet-121 (ImageNet)",
        architecture="timm",
        timm_name="densenet121",
        full=EncoderSize(224, 1024, {"num_classes": 0}),
        mini=EncoderSize(32, 32, {"num_classes": 0, "growth_rate": 8, "block_config": (2, 2, 2, 2)}, view=MINI_VIEW),
        normalisation=IMAGENET,
        parameters=6_953_856,
        licence="BSD-3-Clause (torchvision weights)",
        paper="Huang et al., CVPR 2017",
        training_overlap=IMAGENET_ONLY,
        hub_id="timm/densenet121.tv_in1k",
        hub_file="model.safetensors",
        key_map="densenet",
        unused_keys=(r"^classifier\.",),
    ),
)
