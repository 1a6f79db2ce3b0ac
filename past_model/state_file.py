"""Tensors by name out of a checkpoint's file: one policy for every kind of checkpoint.

What a pickle may hold beside tensors is plain data: numbers, texts, lists, mappings, and the command line that training
loops save (an ``argparse.Namespace`` of such). Anything that would run code is refused, and not run.
"""

from __future__ import annotations

import argparse
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

State = dict[str, Tensor]

CONTAINERS = ("model", "state_dict", "module")
"""Keys under which training loops save a state beside what else they keep."""
_SHOWN = 5


class CheckpointError(ValueError):
    """A checkpoint that cannot be loaded; the message names what is wrong with it."""


def read_state(path: Path) -> State:
    """The tensors of a ``.safetensors`` file or a torch checkpoint. Raises :class:`CheckpointError`.

    Containers (``model``, ``state_dict``, ``module``) are opened and a ``module.`` prefix common to all is removed.
    """
    content = _content(path)
    for container in CONTAINERS:
        if isinstance(content, Mapping) and isinstance(content.get(container), Mapping):
            content = content[container]
    if not isinstance(content, Mapping) or not content or not all(isinstance(v, Tensor) for v in content.values()):
        found = sorted(map(str, content)) if isinstance(content, Mapping) else [type(content).__name__]
        raise CheckpointError(f"no state dict inside; found {listed(found)}")
    state = {str(key): value for key, value in content.items()}
    if all(key.startswith("module.") for key in state):
        state = {key.removeprefix("module."): value for key, value in state.items()}
    return state


def _content(path: Path) -> Any:
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(f"refused, it holds more than plain data ({str(error).splitlines()[0]})") from None
    except Exception as error:  # each reader has error types of its own for a damaged file
        raise CheckpointError(f"unreadable checkpoint ({type(error).__name__}), perhaps cut short") from error


def listed(keys: list[str]) -> str:
    """A few names, and how many more there are."""
    more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    return (", ".join(keys[:_SHOWN]) + more) or "none"
