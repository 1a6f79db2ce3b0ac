"""From crops to what a network reads: the middle of a crop, resized and normalised."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from baselines.encoders.spec import Triple
from protocols.contract import CropArray


def central(crops: CropArray, view: float) -> CropArray:
    """The middle of each crop, ``view`` of its side wide (rounded so that the centre stays the centre)."""
    side = crops.shape[1]
    margin = round(side * (1 - view) / 2)
    return crops[:, margin : side - margin, margin : side - margin]


def to_input(crops: CropArray, pixels: int, normalisation: tuple[Triple, Triple], device: torch.device) -> Tensor:
    """RGB crops, uint8 ``(k, p, p, 3)``, to the network's input, float32 ``(k, 3, pixels, pixels)``."""
    image = torch.from_numpy(np.ascontiguousarray(crops)).to(device).permute(0, 3, 1, 2).float().div_(255.0)
    if image.shape[-1] != pixels:
        image = functional.interpolate(
            image, size=(pixels, pixels), mode="bicubic", antialias=True, align_corners=False
        ).clamp_(0.0, 1.0)
    mean, spread = (torch.tensor(values, device=device).view(1, 3, 1, 1) for values in normalisation)
    return (image - mean) / spread
