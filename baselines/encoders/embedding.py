"""Frozen embeddings of a cohort's crops, computed once for all protocols and models."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from baselines.encoders.entries import encoder_spec
from baselines.encoders.field_of_view import native, whole
from baselines.encoders.spec import EncoderSize, EncoderSpec, Triple
from baselines.encoders.weights import load_encoder
from baselines.training.torch_run import torch_run
from past_model.resizing import Filter, Framing, resized
from protocols.contract import CropArray, RowArray, Settings, WeightsRecord
from protocols.errors import UserError
from protocols.files import written_whole
from protocols.images.source import CropSource, FieldOfView

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
    um: float | None = None,
    field: FieldOfView = "whole",
) -> WeightsRecord:
    """:func:`embed_many` of one encoder."""
    given, outs = {encoder_name: settings}, {encoder_name: out}
    records = embed_many(
        [encoder_name], crop_source, rows, given, outs, progress, batch, whole_view=whole_view, um=um, field=field
    )
    return records[encoder_name]


def embed_many(
    encoders: Sequence[str],
    crop_source: CropSource,
    rows: RowArray,
    settings: Mapping[str, Settings],
    outs: Mapping[str, Path],
    progress: Callable[[int, int], None] | None = None,
    batch: int = BATCH,
    *,
    whole_view: bool = False,
    um: float | None = None,
    field: FieldOfView = "whole",
    clock: Callable[[str, float], None] | None = None,
) -> dict[str, WeightsRecord]:
    """Write each encoder's embedding of ``rows`` to its place in ``outs``, in one pass over the crops.

    Each file (``.npy``, float32 ``(len(rows), dim)``, in the order of ``rows``) is whole or absent. Memory is that of
    one batch and of the networks; a result does not depend on its companions, nor on the batch size beyond rounding
    (eval mode, inference mode). ``progress(done, total)`` is called after each batch. On a GPU the networks run in
    bfloat16 (autocast). ``whole_view``: the crops are tiles, not cells, and no profile shows less of them. ``um``: a
    crop's side; ``field``: what of it is seen. ``clock(encoder, seconds)`` is told of every batch's pass, from crops
    in memory to features on the CPU. Returns where the weights came from, and what each encoder saw.
    """
    records = {}
    with torch_run(settings[encoders[0]]) as device, ExitStack() as stack:
        parts = []
        for name in encoders:
            spec = encoder_spec(name, settings[name])
            size = spec.size(settings[name].profile)
            view = 1.0 if whole_view else size.view
            if field == "native" and spec.mpp is not None and um is not None:
                seen = native(spec, size, um, crop_source.pixels)
            else:
                seen = whole(size, um, view=view)
            size = replace(size, view=seen.view)
            network, record = load_encoder(name, settings[name])
            records[name] = replace(record, seen_um=seen.um, seen_mpp=seen.mpp)
            network.to(device)
            size = size if size.dim else replace(size, dim=_width(network, size.pixels, device))
            part = stack.enter_context(written_whole(outs[name]))
            array = np.lib.format.open_memmap(part, mode="w+", dtype=np.float32, shape=(len(rows), size.dim))
            parts.append((name, spec, size, network, array))
        done = 0
        for positions, crops in crop_source.batches(rows, batch):
            for name, spec, size, network, array in parts:
                started = time.perf_counter()
                array[positions] = _forward(network, crops, size, spec, device)
                if clock is not None:
                    clock(name, time.perf_counter() - started)
            done += len(positions)
            if progress is not None:
                progress(done, len(rows))
        for name, _, _, _, array in parts:
            _check_whole(array, done, name, records[name])
            array.flush()
    return records


def _width(network: nn.Module, pixels: int, device: torch.device) -> int:
    """Features of an encoder that does not say: those of one black image."""
    with torch.inference_mode():
        found: Tensor = network(torch.zeros(1, 3, pixels, pixels, device=device))
    if found.ndim != 2:
        raise UserError(
            f"the network answers {tuple(found.shape)}", where="the encoder", expected="(images, features)",
            remedy="pool its tokens, or set kwargs",
        )  # fmt: skip
    return int(found.shape[1])


def central(crops: CropArray, view: float) -> CropArray:
    """The middle of each crop, ``view`` of its side wide (rounded so that the centre stays the centre)."""
    side = crops.shape[1]
    margin = round(side * (1 - view) / 2)
    return crops[:, margin : side - margin, margin : side - margin]


def to_input(
    crops: CropArray,
    pixels: int,
    normalisation: tuple[Triple, Triple],
    device: torch.device,
    filter: Filter,
    framing: Framing = "squeeze",
) -> Tensor:
    """RGB crops, uint8 ``(k, p, p, 3)``, to the network's input, float32 ``(k, 3, pixels, pixels)``."""
    fitting = np.ascontiguousarray(resized(crops, pixels, filter, framing))
    image = torch.from_numpy(fitting).to(device).permute(0, 3, 1, 2).float().div_(255.0)
    mean, spread = (torch.tensor(values, device=device).view(1, 3, 1, 1) for values in normalisation)
    return (image - mean) / spread


def prepared(crops: CropArray, size: EncoderSize, spec: EncoderSpec, device: torch.device) -> Tensor:
    """Crops as the encoder's own code would prepare them: its filter, its framing, its mean and SD."""
    return to_input(crops, size.pixels, spec.normalisation, device, spec.filter, spec.framing)


def _forward(
    network: nn.Module, crops: CropArray, size: EncoderSize, spec: EncoderSpec, device: torch.device
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    x = prepared(central(crops, size.view), size, spec, device)
    with torch.inference_mode(), torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"):
        features: Tensor = network(x)
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
