"""Strict loading of the released checkpoint.

The file holds a dict with key ``model``: the state of the released model, ``image_encoder.model.*`` (a bare timm
vision transformer), ``cell_encoder.*`` and, where they were saved, the graph encoder, fusion and projections. The
loader printed with the release filters on prefixes that match nothing and loads non-strictly, so that both of its
loads can pass in silence without setting one weight; here every difference that is not explained is an error.
"""

from __future__ import annotations

import argparse
import pickle
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from past_model.model import Past

State = dict[str, Tensor]

OPTIONAL_PARTS = ("graph_encoder", "fusion_layer", "fusion_norm", "image_projection", "cell_projection")
"""Saved with the whole model, absent from an encoders-only file: each must be whole or wholly absent."""
OPTIONAL_KEYS = ("temperature", "attn_bias")
UNUSED_PREFIXES = ("cell_encoder.encoder_layer.", "graph_encoder.distance_transform.")
"""Saved but never used: the layer that PyTorch copies twelve times (2.10 M parameters), and the map from distances to
edge weights that only the release's GCN option reads."""
TABLE = "cell_encoder.embeddings.weight"
_SHOWN = 5


class CheckpointError(ValueError):
    """A checkpoint that cannot be loaded; the message names the keys."""


@dataclass(frozen=True)
class ReleasedState:
    """A checkpoint's tensors by the released names, the common DDP prefix removed."""

    tensors: State

    @property
    def table_rows(self) -> int:
        """Rows of the token embedding table (20,345 in the release)."""
        if TABLE not in self.tensors or self.tensors[TABLE].ndim != 2:
            raise CheckpointError(f"keys differ: missing {TABLE}; unexpected {_listed(sorted(self.tensors))}")
        return int(self.tensors[TABLE].shape[0])


def read_released(path: Path) -> ReleasedState:
    """Read the tensors; code inside a pickle is never run. Raises :class:`CheckpointError`."""
    try:
        # The release's training loop saves its command line beside the state: plain data, no code.
        with torch.serialization.safe_globals([argparse.Namespace]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(f"refused or unreadable ({str(error).splitlines()[0]})") from None
    except (RuntimeError, EOFError, OSError, ValueError) as error:
        raise CheckpointError(f"unreadable checkpoint ({type(error).__name__}), perhaps cut short") from None
    state = content.get("model") if isinstance(content, dict) else None
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        found = sorted(map(str, content)) if isinstance(content, dict) else [type(content).__name__]
        raise CheckpointError(f"no key 'model' with named tensors; found {_listed(found)}")
    tensors = {str(key): value for key, value in state.items()}
    if all(key.startswith("module.") for key in tensors):
        tensors = {key.removeprefix("module."): value for key, value in tensors.items()}
    return ReleasedState(tensors)


def load_released(model: Past, state: ReleasedState) -> tuple[str, ...]:
    """Copy a checkpoint into ``model`` and return the parts that it does not hold (left as they were).

    Raises :class:`CheckpointError` naming the missing, unexpected or misshapen keys.
    """
    own = model.state_dict()
    given = {key: value for key, value in state.tensors.items() if not key.startswith(UNUSED_PREFIXES)}
    given = _one_gat_projection(given)
    parts = {key.split(".")[0] for key in given}
    absent = tuple(part for part in (*OPTIONAL_PARTS, *OPTIONAL_KEYS) if part not in parts)
    expected = {key for key in own if key.split(".")[0] not in absent}
    missing, unexpected = sorted(expected - given.keys()), sorted(given.keys() - expected)
    if missing or unexpected:
        raise CheckpointError(f"keys differ: missing {_listed(missing)}; unexpected {_listed(unexpected)}")
    for key, value in given.items():
        if value.shape != own[key].shape:
            raise CheckpointError(f"{key} has shape {tuple(value.shape)}, expected {tuple(own[key].shape)}")
    model.load_state_dict({**own, **given})
    return absent


def _one_gat_projection(state: State) -> State:
    """Older torch_geometric saves GAT's shared projection twice, as source and as target; newer once, as ``lin``."""
    renamed = dict(state)
    for key in state:
        twin = key.replace(".lin_src.", ".lin_dst.")
        if key.startswith("graph_encoder.") and twin != key:
            renamed[key.replace(".lin_src.", ".lin.")] = renamed.pop(key)
            if twin in state and torch.equal(state[twin], state[key]):
                del renamed[twin]
    return renamed


def _listed(keys: list[str]) -> str:
    more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    return (", ".join(keys[:_SHOWN]) + more) or "none"
