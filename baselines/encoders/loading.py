"""Encoders as networks in eval mode: built at the profile's size, with real weights or a random start."""

from __future__ import annotations

from torch import nn

from baselines.encoders.modules import build
from baselines.encoders.table import encoder_spec
from baselines.weights.checkpoints import read_checkpoint
from baselines.weights.files import find_file
from baselines.weights.strict import load_strictly
from protocols.contract import Settings, WeightsRecord
from protocols.seeds import derive_seed


def build_encoder(name: str, settings: Settings, seed: int | None = None) -> nn.Module:
    """The encoder at the profile's size, randomly initialised, in eval mode, on the CPU.

    The start depends on ``seed`` (default: the settings') and the encoder's name alone, so that CHIEF and CTransPath,
    one architecture, differ. torch's global generator is left as it was. :func:`load_encoder` adds real weights.
    """
    chosen = settings.seed if seed is None else seed
    return build(encoder_spec(name), settings.profile, derive_seed(chosen, "encoder", name))


def load_encoder(name: str, settings: Settings, seed: int | None = None) -> tuple[nn.Module, WeightsRecord]:
    """The encoder in eval mode, with the weights that ``settings.weights[name]`` names, or a random start.

    ``{"path": …, "sha256": …}`` is a local file (the hash is required); ``{"hub": id, "revision": 40 hex digits,
    "file": …, "sha256": optional}`` comes through huggingface_hub with the user's own token.
    """
    spec, network = encoder_spec(name), build_encoder(name, settings, seed)
    if name not in settings.weights:
        return network, WeightsRecord(part=name, source="random")
    path, record = find_file(name, settings.weights[name], spec.hub_file)
    load_strictly(network, read_checkpoint(path), spec, where=path)
    return network, record
