"""Windows of neighbouring tiles: how models that were trained on slides are asked for a map."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from baselines.training.bulk_training import Rows, Tiles, chunks, rows_at_once
from protocols.contract import FloatArray


def distinct_tiles(features: FloatArray) -> tuple[FloatArray, NDArray[np.int64]]:
    """Distinct rows of ``(m, d)`` in order of first appearance, and where each row lies among them.

    Windows of one section share most of their tiles, byte for byte.
    """
    places: dict[bytes, int] = {}
    index = np.array([places.setdefault(row.tobytes(), len(places)) for row in features], dtype=np.int64)
    return features[np.unique(index, return_index=True)[1]], index


@torch.no_grad()
def score_tiles_once(network: Any, tiles: Tiles, rows: Rows, device: torch.device) -> FloatArray:
    """HE2RNA: a tile's scores do not depend on its window, so each distinct tile of a chunk goes through once."""
    network.eval()
    found = [np.zeros((0, network.output.out_features), dtype=np.float32)]
    for chunk in chunks(rows, rows_at_once(tiles, network.output.out_features)):
        features, present = tiles(chunk)
        distinct, index = distinct_tiles(features.reshape(-1, features.shape[-1]))
        every = torch.ones((len(distinct), 1), dtype=torch.bool, device=device)
        scores = network.tile_scores(torch.from_numpy(distinct).to(device)[:, None], every)[:, 0]
        by_window = scores[torch.from_numpy(index).to(device)].view(*present.shape, -1)
        found.append(network.pool(by_window, torch.from_numpy(present).to(device)).cpu().numpy())
    return np.concatenate(found)


@torch.no_grad()
def repeat_first_tile(network: Any, tiles: Tiles, rows: Rows, device: torch.device) -> FloatArray:
    """SEQUOIA's released windows: the first tile that is there, repeated at every place, decides alone.

    The release lists the tiles of a window that are there, column by column, and passes them without batch axis;
    broadcasting then makes K slides, each of one tile K times, and only the first is read. A window without any tile
    is one of zeros.
    """
    network.eval()
    found = [np.zeros((0, network.output.out_features), dtype=np.float32)]
    for chunk in chunks(rows, rows_at_once(tiles, network.output.out_features)):
        features, present = tiles(chunk)
        listed = features[np.arange(len(features)), present.argmax(axis=1)]
        first, index = distinct_tiles(np.where(present.any(axis=1, keepdims=True), listed, np.float32(0.0)))
        repeated = torch.from_numpy(first).to(device)[:, None].expand(-1, tiles.places, -1)
        every = torch.ones(repeated.shape[:2], dtype=torch.bool, device=device)
        found.append(network(repeated, every).cpu().numpy()[index])
    return np.concatenate(found)
