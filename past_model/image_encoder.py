"""The image branch: a vision transformer with UNI's architecture at the sizes of the settings."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from past_model.resizing import resized
from past_model.settings import PastSettings
from past_model.timm_import import import_timm

CropArray = NDArray[np.uint8]
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
UNI_WIDTH, UNI_INIT_SD = 1024, 0.02
POSITION_SCALE, LONGEST_WAVE = 0.4, 10.0


class ImageEncoder(nn.Module):
    """Crops at the encoder's size, uint8 ``(n, p, p, 3)``, to the class token's embedding, float32 ``(n, image_dim)``.

    At full size this is the network that UNI's weights fit (303,350,784 parameters, 1,024 dimensions).
    """

    mean: Tensor
    std: Tensor

    def __init__(self, settings: PastSettings) -> None:
        super().__init__()
        import_timm()
        from timm.models.vision_transformer import VisionTransformer

        self.model = VisionTransformer(
            img_size=settings.image_pixels,
            patch_size=settings.patch_pixels,
            embed_dim=settings.image_dim,
            depth=settings.image_depth,
            num_heads=settings.image_heads,
            init_values=settings.layer_scale,
            num_classes=0,
            dynamic_img_size=True,
        )
        self._initialise(settings)
        self.pixels, self.view = settings.image_pixels, settings.view
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1), persistent=False)

    def _initialise(self, settings: PastSettings) -> None:
        """A random start that a scaled-down encoder can leave within a few hundred steps (weights replace it).

        timm draws linear weights with SD 0.02 at every width, which suits 1,024 dimensions: the same ratio to
        1/sqrt(width) keeps the blocks of a narrow encoder from being near-identities. The position table starts from
        sines and cosines of row and column instead of noise far below the patches' own values.
        """
        spread = UNI_INIT_SD * (UNI_WIDTH / settings.image_dim) ** 0.5
        for module in self.model.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=spread)
        positions = sine_positions(settings.image_pixels // settings.patch_pixels, settings.image_dim)
        with torch.no_grad():
            table = cast(nn.Parameter, self.model.pos_embed)
            table[0, 1:] = POSITION_SCALE * positions.to(table.device)

    def forward(self, crops: Tensor) -> Tensor:
        return cast(Tensor, self.model(self.normalise(crops)))

    def normalise(self, crops: Tensor) -> Tensor:
        """Scale to [0, 1] and apply ImageNet's constants: float32 ``(n, 3, p, p)``."""
        return (crops.permute(0, 3, 1, 2).float() / 255.0 - self.mean) / self.std


def sine_positions(side: int, dim: int) -> Tensor:
    """Sines and cosines of column and row at ``dim / 4`` frequencies: float32 ``(side * side, dim)``, row by row."""
    frequency = LONGEST_WAVE ** -(torch.arange(dim // 4) / (dim // 4))
    row, column = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    angles = [place.flatten()[:, None] * frequency for place in (column, row)]
    return torch.cat([wave(angle) for angle in angles for wave in (torch.sin, torch.cos)], dim=1)


def at_encoder_size(crops: CropArray, pixels: int, view: float = 1.0) -> Tensor:
    """Crops ``(n, p, p, 3)`` at the encoder's size, uint8 ``(n, pixels, pixels, 3)`` on the CPU.

    Squeezed and bilinear, as the release's graph data set does. Of each crop the middle is taken, ``view`` of its side
    wide; the centre stays the centre.
    """
    margin = round(crops.shape[1] * (1.0 - view) / 2.0)
    middle = crops[:, margin : crops.shape[1] - margin, margin : crops.shape[2] - margin]
    return torch.from_numpy(np.ascontiguousarray(resized(middle, pixels, "bilinear")))


@torch.inference_mode()
def embed(encoder: ImageEncoder, crops: CropArray, batch_size: int) -> NDArray[np.float32]:
    """Embedding of crops of any size, float32 ``(n, image_dim)``, in evaluation mode and on the encoder's device."""
    encoder.eval()
    device = encoder.mean.device
    parts = [np.empty((0, encoder.model.num_features), dtype=np.float32)]
    for start in range(0, len(crops), batch_size):
        batch = at_encoder_size(crops[start : start + batch_size], encoder.pixels, encoder.view).to(device)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"):
            embedding = encoder(batch)
        parts.append(embedding.float().cpu().numpy())
    return np.concatenate(parts)


def random_dihedral(crops: Tensor, generator: torch.Generator) -> Tensor:
    """Each crop of ``(n, p, p, 3)`` in one of its eight flips and quarter turns, drawn from a CPU ``generator``."""
    choice = torch.randint(0, 8, (len(crops),), generator=generator)
    turned = crops.clone()
    for kind in range(1, 8):
        rows = (choice == kind).to(crops.device)
        view = torch.rot90(crops[rows], kind % 4, dims=(1, 2))
        turned[rows] = view.flip(2) if kind >= 4 else view
    return turned
