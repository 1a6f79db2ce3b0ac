"""Precomputed bags of tile embeddings, as CLAM and TRIDENT write them; no code inside a file is ever run."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from protocols.contract import FloatArray
from protocols.errors import UserError

FEATURE_KEYS = ("features", "feats")
_EXPECTED = "a float array (tiles, features)"


SEQUOIA_KEYS = {"resnet50": "resnet_features", "uni": "uni_features"}
"""What SEQUOIA's released code calls the tile features of an encoder."""


def read_bag(path: Path, encoder: str | None = None) -> FloatArray:
    """One slide's tile embeddings, float32 ``(tiles, d)``.

    ``.pt``: a tensor, or a dict with ``features`` (CLAM). ``.h5``: a data set ``features``, ``(tiles, d)`` (CLAM) or
    ``(1, tiles, d)`` (TRIDENT), or that of ``encoder`` as SEQUOIA names it. An empty, misshapen or non-finite bag is a
    :class:`UserError`.
    """
    if not path.exists():
        raise UserError("no such bag", where=path, expected="a .pt or .h5 file", remedy="check slides.csv")
    if path.suffix == ".pt":
        values = _from_pt(path, encoder)
    elif path.suffix in (".h5", ".hdf5"):
        values = _from_h5(path, encoder)
    else:
        raise UserError(f"unknown kind of bag {path.suffix!r}", where=path, expected=".pt or .h5", remedy="convert it")
    if values.ndim == 3 and len(values) == 1:
        values = values[0]
    if values.ndim != 2 or not all(values.shape) or not np.issubdtype(values.dtype, np.floating):
        raise UserError(
            f"the bag is {values.dtype} {values.shape}", where=path, expected=_EXPECTED, remedy="embed the slide again"
        )
    bag: FloatArray = values.astype(np.float32)
    if not np.isfinite(bag).all():
        raise UserError("a feature is not finite", where=path, expected=_EXPECTED, remedy="embed the slide again")
    return bag


def _from_pt(path: Path, encoder: str | None) -> np.ndarray[Any, Any]:
    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"refused, it holds more than tensors ({str(error).splitlines()[0]})",
            where=path,
            expected="a plain tensor",
            remedy="save the tensor alone",
        ) from None
    except Exception as error:  # torch's readers have error types of their own for a damaged file
        raise UserError(
            f"unreadable ({type(error).__name__})", where=path, expected=_EXPECTED, remedy="write it again"
        ) from error
    if isinstance(content, Mapping):
        content = _entry(content, path, encoder)
    if not isinstance(content, torch.Tensor):
        raise UserError(f"it holds a {type(content).__name__}", where=path, expected=_EXPECTED, remedy="save a tensor")
    return content.float().numpy() if content.is_floating_point() else content.numpy()


def _from_h5(path: Path, encoder: str | None) -> np.ndarray[Any, Any]:
    import h5py

    try:
        with h5py.File(path) as file:
            return np.asarray(_entry(file, path, encoder))
    except OSError as error:
        raise UserError(
            f"unreadable ({type(error).__name__})", where=path, expected=_EXPECTED, remedy="write it again"
        ) from error


def _entry(content: Mapping[str, Any], path: Path, encoder: str | None) -> Any:
    for key in (*FEATURE_KEYS, SEQUOIA_KEYS.get(encoder or "", "")):
        if key in content:
            return content[key]
    found = ", ".join(map(str, list(content)[:5]))
    raise UserError(f"it holds {found or 'nothing'}", where=path, expected="features", remedy="rename the data set")
