"""HE2RNA, the original and SEQUOIA's re-implementation: the pooling of the release, at its widths."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from baselines.bulk.he2rna_sequoia import HE2RNASequoia
from baselines.networks.he2rna_network import KS, He2rnaNetwork, He2rnaSizes, renamed_he2rna
from tests.parity.vectors import Vectors, a, read

SYSTEMS = [read("he2rna"), read("he2rna_sequoia")]


def released(vectors: Vectors) -> He2rnaNetwork:
    """The network, filled from a state dict of the release; its last 1-wide convolution is the head."""
    settings: dict[str, Any] = vectors.content["settings"]
    sizes = He2rnaSizes(tuple(settings["layers"]), settings["dropout"])
    network = He2rnaNetwork(sizes, 100, settings["input_dim"], settings["output_dim"], masked=False)
    state = renamed_he2rna(vectors.state())
    own = {name for name in network.state_dict() if not name.startswith("trunk.scale.")}
    assert own == state.keys()
    network.load_state_dict(state, strict=False)
    assert network.ks == KS == tuple(settings["ks"])
    return network.eval()


def slides() -> tuple[torch.Tensor, torch.Tensor]:
    features = (0.5 + 0.5 * np.asarray(a("x", 3 * 100 * 16))).astype(np.float32).reshape(3, 100, 16)
    features[1, 60:], features[2, 3:] = 0.0, 0.0
    return torch.from_numpy(features), torch.from_numpy((features > 0).any(axis=2))


@pytest.mark.parametrize("vectors", SYSTEMS, ids=lambda vectors: vectors.name)
@torch.no_grad()
def test_networks(vectors: Vectors) -> None:
    network, (features, present) = released(vectors), slides()
    answer = network(features, present)
    vectors.check(answer, "output, evaluation (mean over ks)")
    one = "one k at a time, first two slides (as in training, dropout off)"
    for k in (1, 5, 50):
        vectors.check(network(features[:2], present[:2], k=k), one, f"k={k}")
    if "prediction" in vectors.content["expected"]:
        vectors.check(HE2RNASequoia().finish(answer.numpy()), "prediction")
