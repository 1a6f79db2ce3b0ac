"""Frozen embedding of a cohort's crops by one encoder, computed once for all protocols and models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from baselines.encoders.inputs import central, to_input
from baselines.encoders.loading import load_encoder
from baselines.encoders.spec import EncoderSize, Triple
from baselines.encoders.table import encoder_spec
from baselines.torch_run import torch_run
from protocols.contract import CropArray, RowArray, Settings, WeightsRecord
from protocols.errors import UserError
from protocols.files import written_whole
from protocols.views import CropSource

BATCH = 128


def embed(
    encoder_name: str,
    crop_source: CropSource,
    rows: RowArray,
    settings: Settings,
    out: Path,
    progress: Callable[[int, int], None] | None = None,
    batch: int = BATCH,
    *,
    whole_view: bool = False,
) -> WeightsRecord:
    """Write the embedding of ``rows`` to ``out`` (``.npy``, float32 ``(len(rows), dim)``, in the order of ``rows``).

    The file is whole or absent. Memory is that of one batch; the result does not depend on the batch size beyond
    rounding (eval mode, inference mode). ``progress(done, total)`` is called after each batch. On a GPU the network
    runs in bfloat16 (autocast). ``whole_view``: the crops are tiles, not cells, and are seen whole in every profile.
    Returns where the weights came from.
    """
    spec = encoder_spec(encoder_name)
    size = spec.size(settings.profile)
    if whole_view:
        size = replace(size, view=1.0)
    with torch_run(settings) as device:
        network, record = load_encoder(encoder_name, settings)
        network.to(device)
        with written_whole(out) as part:
            array = np.lib.format.open_memmap(part, mode="w+", dtype=np.float32, shape=(len(rows), size.dim))
            done = 0
            for positions, crops in crop_source.batches(rows, batch):
                array[positions] = _forward(network, crops, size, spec.normalisation, device)
                done += len(positions)
                if progress is not None:
                    progress(done, len(rows))
            _check_whole(array, done, encoder_name, record)
            array.flush()
    return record


def _forward(
    network: nn.Module, crops: CropArray, size: EncoderSize, normalisation: tuple[Triple, Triple], device: torch.device
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    with torch.inference_mode(), torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"):
        features: Tensor = network(to_input(central(crops, size.view), size.pixels, normalisation, device))
    return features.float().cpu().numpy()


def _check_whole(
    array: np.ndarray[tuple[int, ...], np.dtype[np.float32]], done: int, encoder: str, record: WeightsRecord
) -> None:
    if done != len(array):
        raise UserError(
            f"{done} of {len(array)} crops came", where=f"embedding by {encoder}", expected="every row once",
            remedy="the crop source is at fault",
        )  # fmt: skip
    for start in range(0, len(array), 8192):
        if not np.isfinite(array[start : start + 8192]).all():
            raise UserError(
                "a feature is not finite", where=f"embedding by {encoder}", expected="finite numbers",
                remedy=f"check the weights ({record.source})",
            )  # fmt: skip
