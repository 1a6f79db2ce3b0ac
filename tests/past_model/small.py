"""A PAST small enough for tests, and pairs to feed it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from past_model.neighbours import nearest_cells
from past_model.pretraining import Pairs
from past_model.settings import MINI, PastSettings
from past_model.tokens import FIRST_GENE

SMALL: PastSettings = replace(
    MINI, image_pixels=16, patch_pixels=8, image_dim=16, image_heads=2, view=1.0, context_length=8, cell_dim=16,
    cell_heads=2, cell_layers=2, cell_feedforward=16, graph_hidden=8, projection_dim=8, batch_size=8, epochs=2,
    warmup_epochs=1, max_pairs=64,
)  # fmt: skip
GENES = 10
TABLE_ROWS = GENES + FIRST_GENE + 5


def small_pairs(n: int = 24, seed: int = 0, settings: PastSettings = SMALL) -> Pairs:
    """Random crops and cells; every cell has one to ``context_length`` genes."""
    rng = np.random.default_rng(seed)
    crops = torch.from_numpy(rng.integers(0, 256, (n, 16, 16, 3), dtype=np.uint8))
    tokens = np.zeros((n, settings.context_length), dtype=np.int64)
    for row in tokens:
        genes = rng.permutation(GENES)[: rng.integers(1, settings.context_length)]
        row[: len(genes)] = FIRST_GENE + genes
    xy = rng.uniform(0, 80, (n, 2)).astype(np.float32)
    slide = np.where(np.arange(n) < n // 2, "a", "b")
    near = nearest_cells(xy, slide, np.arange(n), count=settings.neighbours, radius_um=settings.radius_um)
    return Pairs(lambda rows: crops[torch.from_numpy(rows)], tokens, xy, np.arange(n), near)
