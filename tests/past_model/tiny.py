"""A PAST small enough for a test, with its parts in the released layout, and pairs to train it on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from past_model.model import Past
from past_model.neighbours import nearest_cells
from past_model.pretraining import Pairs, build
from past_model.settings import CORRECTED, FAITHFUL, MINI, PastSettings, Variant

TINY = replace(
    MINI,
    image_pixels=16,
    patch_pixels=8,
    image_dim=16,
    image_depth=1,
    image_heads=2,
    context_length=10,
    cell_dim=16,
    cell_layers=2,
    cell_heads=2,
    cell_feedforward=24,
    graph_hidden=8,
    fusion_heads=2,
    projection_dim=8,
    batch_size=8,
    epochs=3,
    max_pairs=24,
)
TABLE_ROWS = 60
VARIANTS = [CORRECTED, FAITHFUL]


def tiny_model(variant: Variant, settings: PastSettings = TINY, seed: int = 0) -> Past:
    return build(settings, variant, TABLE_ROWS, seed)


def tiny_pairs(n: int = 24, seed: int = 0, settings: PastSettings = TINY) -> Pairs:
    """Cells whose first gene token follows the crop's brightness."""
    rng = np.random.default_rng(seed)
    bright = rng.uniform(40, 215, n)
    crops = rng.normal(0, 10, (n, settings.image_pixels, settings.image_pixels, 3)) + bright[:, None, None, None]
    held = torch.from_numpy(np.clip(crops, 0, 255).astype(np.uint8))
    tokens = rng.integers(40, TABLE_ROWS, (n, settings.context_length))
    tokens[:, 0] = np.where(bright > 128, 30, 31)
    tokens[:, -3:] = 0
    xy = rng.uniform(0, 60, (n, 2)).astype(np.float32)
    rows = np.arange(n)
    near = nearest_cells(xy, np.full(n, "s"), rows, count=3, radius_um=settings.radius_um)
    return Pairs(lambda at: held[torch.from_numpy(at)], tokens, xy, rows, near)


def released_state(model: Past) -> dict[str, torch.Tensor]:
    """What the released code would save of ``model``: its own parts plus the layer that PyTorch copies."""
    state = dict(model.state_dict())
    first = "cell_encoder.encoder.layers.0."
    template = {key.removeprefix(first): value for key, value in state.items() if key.startswith(first)}
    return state | {f"cell_encoder.encoder_layer.{key}": value + 1 for key, value in template.items()}


def save(path: Path, content: Any) -> Path:
    torch.save(content, path)
    return path
