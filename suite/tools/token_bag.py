"""A slide's maps of markers as one bag: every channel a small picture, every picture one token of DINOv2.

As HEX's script does it: values cut to [0, 1], times 255, to 8 bits, the one channel three times as RGB, squeezed to 224
pixels whatever its shape, then ViT-S/14 with registers. The bag is ``features``, float32 ``(markers, 384)``, in the
layout of CLAM, and is listed in a table of slides under the encoder ``protein_tokens``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from protocols.contract import CropArray, FloatArray, Settings, WeightsRecord
from protocols.errors import UserError
from protocols.files import written_whole
from protocols.images.source import ArrayCrops

ENCODER, TOKENS = "dinov2_vits14_reg", "protein_tokens"
SIDE = 224


def refuse_squashed(values: FloatArray, where: object) -> None:
    """Maps that would all be 0 as 8-bit pictures are refused: HEX's own sample is 255² times too small for its script.

    ``values``: any shape, in [0, 1] where a model answers in units of the 99th percentile.
    """
    top = float(np.max(values, initial=0.0))
    if top < 1 / 255:
        raise UserError(
            f"no value reaches 1/255 (the largest is {top:.3g})", where=where, expected="values in [0, 1]",
            remedy="if they were divided by 255 twice, multiply them; write them as the model answers",
        )  # fmt: skip


def picture(plane: FloatArray) -> CropArray:
    """A map ``(rows, columns)`` as the encoder's picture, uint8 ``(224, 224, 3)``; bicubic, its aspect lost."""
    from past_model.resizing import resized

    grey = (np.clip(plane, 0.0, 1.0) * 255).astype(np.uint8)  # the release cuts off, it does not round
    found: CropArray = resized(np.repeat(grey[None, :, :, None], 3, axis=-1), SIDE, "bicubic")[0]
    return found


def write_bag(
    path: Path, planes: FloatArray, markers: Sequence[str], settings: Settings, where: object
) -> WeightsRecord:
    """Write the bag of maps ``(markers, rows, columns)``; where the encoder's weights came from.

    Maps that 8 bits turn to nothing are a :class:`UserError`, and so is a name that is no .h5.
    """
    import h5py

    from baselines.encoders.embedding import embed

    refuse_other_name(path)
    refuse_squashed(planes, where)
    path.parent.mkdir(parents=True, exist_ok=True)
    pictures = ArrayCrops(np.stack([picture(np.asarray(plane)) for plane in planes]))
    rows = np.arange(len(planes), dtype=np.int64)
    with TemporaryDirectory(dir=path.parent, prefix=".bag-") as folder:
        out = Path(folder) / "tokens.npy"
        record = embed(ENCODER, pictures, rows, settings, out, batch=8, whole_view=True)
        tokens = np.load(out)
    with written_whole(path) as part, h5py.File(part, "w", libver=("earliest", "v110")) as file:
        file.create_dataset("features", data=tokens, track_times=False)
        file.attrs["encoder"], file.attrs["markers"] = TOKENS, list(markers)
        file.attrs["made_by"], file.attrs["weights_source"] = ENCODER, record.source
    return record


def refuse_other_name(path: Path) -> None:
    if path.suffix != ".h5":
        raise UserError(f"the name {path.name!r}", where=path, expected="a name ending in .h5", remedy="rename it")
