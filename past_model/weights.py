"""Strict loading of the released checkpoint.

The file holds a dict with key ``model``: the state of the released model, ``image_encoder.model.*`` (a bare timm
vision transformer), ``cell_encoder.*`` and, where they were saved, the graph encoder, fusion and projections. The
loader printed with the release filters on prefixes that match nothing and loads non-strictly, so that both of its
loads can pass in silence without setting one weight; here every difference that is not explained is an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from past_model.model import Past
from past_model.settings import FAITHFUL, PastSettings
from past_model.state_file import CheckpointError, State, listed, read_state

__all__ = ["CheckpointError", "ReleasedState", "load_released", "read_released", "refuse_other_layout"]

IMAGE = "image_encoder"
OPTIONAL_PARTS = ("graph_encoder", "fusion_layer", "fusion_norm", "image_projection", "cell_projection")
"""Saved with the whole model, absent from an encoders-only file: each must be whole or wholly absent."""
OPTIONAL_KEYS = ("temperature", "attn_bias")
UNUSED_PREFIXES = ("cell_encoder.encoder_layer.", "graph_encoder.distance_transform.")
"""Saved but never used: the layer that PyTorch copies twelve times (2.10 M parameters), and the map from distances to
edge weights that only the release's GCN option reads."""
TABLE = "cell_encoder.embeddings.weight"


@dataclass(frozen=True)
class ReleasedState:
    """A checkpoint's tensors by the released names, the common DDP prefix removed."""

    tensors: State

    @property
    def table_rows(self) -> int:
        """Rows of the token embedding table (20,345 in the release)."""
        if TABLE not in self.tensors or self.tensors[TABLE].ndim != 2:
            raise CheckpointError(f"keys differ: missing {TABLE}; unexpected {listed(sorted(self.tensors))}")
        return int(self.tensors[TABLE].shape[0])


def read_released(path: Path) -> ReleasedState:
    """Read the tensors; code inside a pickle is never run. Raises :class:`CheckpointError`."""
    return ReleasedState(read_state(path))


def load_released(model: Past, state: ReleasedState) -> tuple[str, ...]:
    """Copy a checkpoint into ``model`` and return the parts that it does not hold (left as they were).

    Raises :class:`CheckpointError` naming the missing, unexpected or misshapen keys.
    """
    own = model.state_dict()
    given, absent = _fitting(own, state)
    model.load_state_dict({**own, **given})
    return absent


def refuse_other_layout(state: ReleasedState, settings: PastSettings) -> None:
    """Raise :class:`CheckpointError` if the parts beside the image encoder are not the release's at these sizes.

    For whoever takes the image encoder alone: a file has one verdict, whatever is read from it. Names and shapes are
    compared; nothing is copied, and no memory is taken.
    """
    with torch.device("meta"):
        own = Past(settings, FAITHFUL, state.table_rows).state_dict()
    rest = {key: value for key, value in state.tensors.items() if not _of_image(key)}
    _fitting({key: value for key, value in own.items() if not _of_image(key)}, ReleasedState(rest))


def _of_image(key: str) -> bool:
    return key.partition(".")[0] == IMAGE


def _fitting(own: State, state: ReleasedState) -> tuple[State, tuple[str, ...]]:
    """The tensors by the names of ``own``, and the parts that are not there; any other difference is an error."""
    given = {key: value for key, value in state.tensors.items() if not key.startswith(UNUSED_PREFIXES)}
    given = _one_gat_projection(given)
    parts = {key.split(".")[0] for key in given}
    absent = tuple(part for part in (*OPTIONAL_PARTS, *OPTIONAL_KEYS) if part not in parts)
    expected = {key for key in own if key.split(".")[0] not in absent}
    missing, unexpected = sorted(expected - given.keys()), sorted(given.keys() - expected)
    if missing or unexpected:
        raise CheckpointError(f"keys differ: missing {listed(missing)}; unexpected {listed(unexpected)}")
    for key, value in given.items():
        if value.shape != own[key].shape:
            raise CheckpointError(f"{key} has shape {tuple(value.shape)}, expected {tuple(own[key].shape)}")
    return given, absent


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
