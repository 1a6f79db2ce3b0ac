"""HEX's released head (checkpoint.pth, six tensors, 300,456 parameters): read strictly, by its own names."""

from __future__ import annotations

import torch
from torch import Tensor

from baselines.encoders.layout import refuse_misfit
from baselines.encoders.weights import find_file, read_checkpoint
from baselines.networks.hex_head import HexNetwork
from protocols.contract import Settings, WeightsRecord

PART, HUB_FILE = "hex_head", "checkpoint.pth"
"""Its name under ``weights``, and the file's in HEX's repository (folder ``hex``)."""
LAYERS = {"regression_head.0": "body.0", "regression_head.3": "body.3", "regression_head1.0": "output"}
"""Released layer to ours: 1024-256-128 with ReLU and dropout after each, then one linear output a protein."""


def renamed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The released names as :class:`HexNetwork`'s; others pass through."""
    found = {}
    for key, value in state.items():
        layer, _, name = key.rpartition(".")
        found[f"{LAYERS.get(layer, layer)}.{name}"] = value
    return found


def load_head(network: HexNetwork, state: dict[str, Tensor], *, where: object) -> None:
    """Copy a released head into ``network``, whole; any other name or shape is a :class:`UserError` that names it."""
    own, given = network.state_dict(), renamed(state)
    refuse_misfit(
        own,
        given,
        where=where,
        expected=f"HEX's six tensors ({', '.join(f'{layer}.weight and .bias' for layer in LAYERS)})",
        keys="name the head's file (checkpoint.pth in HEX's repository)",
        shape="the released head fits profile: full and MUSK's 1,024 features",
    )
    network.load_state_dict(given)


def released_head(settings: Settings, hidden: tuple[int, int]) -> tuple[HexNetwork, WeightsRecord] | None:
    """The head that ``settings.weights["hex_head"]`` names, with its own outputs (40 proteins); None: none is named.

    Inputs and outputs are as many as the file says, hidden layers as many as the profile does.
    """
    if PART not in settings.weights:
        return None
    path, record = find_file(PART, settings.weights[PART], HUB_FILE)
    state = read_checkpoint(path)
    inputs, outputs = _size(state, "regression_head.0.weight", 1), _size(state, "regression_head1.0.weight", 0)
    with torch.random.fork_rng(devices=[]):
        network = HexNetwork(inputs, hidden, outputs, 0.0)
    load_head(network, state, where=path)
    return network.eval(), record


def _size(state: dict[str, Tensor], key: str, axis: int) -> int:
    """The length of an axis of a matrix; 1 where the file has no such matrix, which loading then says."""
    found = state.get(key)
    return int(found.shape[axis]) if found is not None and found.ndim == 2 else 1
