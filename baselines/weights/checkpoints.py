"""Checkpoints read as plain tensors; code inside a file is never run."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from baselines.weights.keys import State
from protocols.errors import UserError

_CONTAINERS = ("model", "state_dict", "module")


def read_checkpoint(path: Path) -> State:
    """The tensors of a ``.safetensors`` file or a torch checkpoint; code inside a pickle is never run.

    Containers (``model``, ``state_dict``, ``module``) are opened and a ``module.`` prefix common to all is removed.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            content: Any = load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"refused, it holds more than tensors ({str(error).splitlines()[0]})",
            where=path,
            expected="a checkpoint of plain tensors",
            remedy="export its state dict, best as .safetensors",
        ) from None
    except Exception as error:  # each reader has error types of its own for a damaged file
        raise UserError(
            f"unreadable checkpoint ({type(error).__name__})",
            where=path,
            expected="a whole .safetensors or torch file",
            remedy="fetch it again",
        ) from error
    for container in _CONTAINERS:
        if isinstance(content, Mapping) and isinstance(content.get(container), Mapping):
            content = content[container]
    if not isinstance(content, Mapping) or not all(isinstance(v, Tensor) for v in content.values()) or not content:
        raise UserError(
            "no state dict inside", where=path, expected="names and tensors", remedy="export the model's state dict"
        )
    state = {str(key): value for key, value in content.items()}
    if all(key.startswith("module.") for key in state):
        state = {key.removeprefix("module."): value for key, value in state.items()}
    return state
