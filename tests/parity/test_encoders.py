"""Every published encoder at its published size: upstream names through the table's key map, and its features."""

from __future__ import annotations

import hashlib
import re

import pytest
import torch
from torch import Tensor, nn

from baselines.encoders.checkpoint_keys import KEY_MAPS
from baselines.encoders.embedding import prepared
from baselines.encoders.modules import construct
from baselines.encoders.spec import EncoderSpec
from baselines.encoders.table import ENCODERS
from baselines.encoders.weights import load_strictly
from tests.parity.formula import Rule, fill_by_formula
from tests.parity.vectors import Vectors, image, read

SMALL = ("ctranspath", "chief", "plip", "resnet50_layer3", "densenet121")
LARGE = ("uni", "conch", "musk")
RULES: tuple[Rule, ...] = ("rule", "alternative")


def upstream_state(vectors: Vectors, spec: EncoderSpec, rule: Rule) -> dict[str, Tensor]:
    """A checkpoint of the release, filled; torchvision's DenseNet is listed by a hash only and has our names."""
    if spec.name != "densenet121":
        return vectors.state(rule)
    with torch.device("meta"):
        own = construct(spec, "full").state_dict()
    state = {key: torch.empty(value.shape) for key, value in own.items() if value.is_floating_point()}
    fill_by_formula(state, rule)
    return state


def unfilled(spec: EncoderSpec) -> nn.Module:
    """The full network; without the library's random start, which takes seconds, where no buffer needs it."""
    with torch.device("meta"):
        network = construct(spec, "full")
    if any(True for _ in network.buffers()):
        return construct(spec, "full").eval()
    return network.to_empty(device="cpu").eval()


def features(vectors: Vectors, spec: EncoderSpec, rule: Rule) -> Tensor:
    """What the project's own path gives: its key map, its strict loader, its preprocessing, its network."""
    network = unfilled(spec)
    load_strictly(network, upstream_state(vectors, spec, rule), spec, where="the formula")
    size = spec.size("full")
    with torch.inference_mode():
        found: Tensor = network(prepared(image(size.pixels, size.pixels)[None], size, spec, torch.device("cpu")))
    return found


def compare(name: str, rule: Rule) -> None:
    vectors, spec = read(f"encoder_{name}"), ENCODERS[name]
    what = {"rule": "the rule", "alternative": "the alternative rule"}[rule]
    vectors.check(features(vectors, spec, rule), f"features, weights by {what}")


@pytest.mark.parametrize("name", SMALL)
def test_features_of_encoders_that_take_a_second(name: str) -> None:
    compare(name, "rule")


@pytest.mark.long
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", LARGE)
def test_features_of_large_encoders(name: str, rule: Rule) -> None:
    compare(name, rule)


@pytest.mark.long
@pytest.mark.parametrize("name", SMALL)
def test_features_by_the_alternative_rule(name: str) -> None:
    compare(name, "alternative")


@pytest.mark.parametrize("name", [*SMALL, *LARGE])
def test_upstream_names_and_shapes_become_ours(name: str) -> None:
    """Without memory: the key map leads every listed upstream tensor to a tensor of ours of the same shape."""
    spec, vectors = ENCODERS[name], read(f"encoder_{name}")
    with torch.device("meta"):
        own = construct(spec, "full").state_dict()
        if name == "densenet121":
            lines = [f"{key} {list(value.shape)}" for key, value in own.items() if value.is_floating_point()]
            digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
            assert digest in vectors.content["weights"]["keys_meaning"]
            return
        theirs = {key: torch.empty(shape) for key, shape in vectors.shapes().items()}
        renamed = KEY_MAPS[spec.key_map](theirs)
    renamed = {key: value for key, value in renamed.items() if not any(re.search(p, key) for p in spec.unused_keys)}
    filled = {key: value.shape for key, value in own.items() if key not in spec.zero_keys and value.ndim}
    filled = {key: shape for key, shape in filled.items() if not key.endswith(("attn_mask", "relative_position_index"))}
    assert {key: value.shape for key, value in renamed.items()} == filled
