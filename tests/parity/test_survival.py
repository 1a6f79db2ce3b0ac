"""The survival networks and their loss against numbers of MCAT's and MICA's released code.

Bilinear fusion and DeepAttnMISL are not built here, so nothing reads their vectors.
"""

import re
from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from baselines.networks.mica_network import MicaNetwork, load_released
from baselines.networks.survival_blocks import FULL, Batch
from baselines.networks.survival_networks import AttentionMil, DeepSets, Mcat, Snn
from baselines.training.survival_loss import nll, risk_of, survival_of
from protocols.errors import UserError
from tests.parity.vectors import Vectors, a, read

OMIC = (5, 4, 7, 3, 6, 9)


def row(name: str, width: int) -> Tensor:
    return torch.from_numpy(a(name, (1, width)))


def tiles(count: int, scale: float = 1.0) -> Tensor:
    return scale * torch.from_numpy(a("x_path", (1, count, 1024)))


def filled(network: nn.Module, vectors: Vectors, renamed: dict[str, str]) -> nn.Module:
    """The network with the formula's weights under the released names; ``renamed``: patterns to our names."""
    state = {}
    for key, value in vectors.state().items():
        ours = key
        for pattern, replacement in renamed.items():
            ours = re.sub(pattern, replacement, ours)
        state[ours] = value
    network.load_state_dict(state)
    assert sum(p.numel() for p in network.parameters()) == vectors.content["weights"]["parameters"]
    return network.eval()


def check(vectors: Vectors, logits: Tensor, *path: str) -> None:
    vectors.check(torch.sigmoid(logits)[0], *path, "hazards")
    vectors.check(survival_of(logits)[0], *path, "S")
    vectors.check(risk_of(logits)[0], *path, "risk")


POOL = {r"attention_a\.0": "value.0", r"attention_b\.0": "gate.0", r"attention_c": "score"}


@torch.no_grad()
def test_mcat() -> None:
    vectors = read("mcat")
    renamed = {
        r"^wsi_net": "tiles", r"^sig_networks": "signatures", r"^coattn\.": "coattention.attention.",
        r"^(path|omic)_transformer\.": r"\1.", r"^(path|omic)_attention_head": r"\1.pool",
        r"^(path|omic)_rho": r"\1.out", r"^mm\.": "fusion.", **POOL,
    }  # fmt: skip
    network = filled(Mcat(FULL, 1024, OMIC), vectors, renamed)
    parts = tuple(row(f"x_omic{k + 1}", width) for k, width in enumerate(OMIC))
    check(vectors, network(Batch(tiles(7), None, parts)), "concat")


@torch.no_grad()
@pytest.mark.parametrize("streams", ["separate", "shared"])
@pytest.mark.parametrize("pooling", ["gap", "attn"])
def test_mica(streams: str, pooling: Literal["gap", "attn"]) -> None:
    """Through our own names; with shared streams the state dict holds both branches, and the last one's values win."""
    vectors = read("mica")
    case = f"{streams} transformers, pooling {pooling}"
    network = MicaNetwork(FULL, 1024, 384, shared=streams == "shared", pooling=pooling).eval()
    assert sum(p.numel() for p in network.parameters()) == vectors.expected(case, "parameters")
    load_released(network, vectors.state(), "the vectors")
    tokens = torch.from_numpy(a("x_codex", (1, 40, 384)))
    check(vectors, network(Batch(tiles(5), None, (), tokens)), case)
    # Before the softmax, as the release hands its attention out: queries are the proteins.
    attention, width = network.coattention.attention, FULL.dim
    query, key = (
        linear(x, attention.in_proj_weight[part], attention.in_proj_bias[part])
        for x, part in (
            (network.proteins(tokens), slice(0, width)),
            (network.tiles(tiles(5)), slice(width, 2 * width)),
        )
    )
    vectors.check((query @ key.transpose(1, 2) / width**0.5).unsqueeze(1), case, "coattention_raw")


def test_a_state_of_another_network_is_no_mica() -> None:
    with pytest.raises(UserError, match="keys differ"):
        load_released(MicaNetwork(FULL, 1024, 384), read("mcat").state(), "mcat.pt")


@torch.no_grad()
def test_attention_mil() -> None:
    vectors = read("mcat_amil")
    renamed = {r"^attention_net\.0": "tiles.0", r"^attention_net\.3": "pool", r"^rho": "out", **POOL}
    check(vectors, filled(AttentionMil(FULL, 1024), vectors, renamed)(Batch(tiles(14), None, ())), "tiles only")


@torch.no_grad()
def test_deep_sets() -> None:
    vectors = read("mcat_deep_sets")
    network = filled(DeepSets(FULL, 1024, mean=False), vectors, {r"^phi": "tiles", r"^rho": "out"})
    check(vectors, network(Batch(tiles(14, 0.1), None, ())), "tiles only")


@torch.no_grad()
def test_snn() -> None:
    vectors = read("mcat_snn")
    network = filled(Snn(FULL, (11,)), vectors, {r"^fc_omic": "layers"})
    check(vectors, network(Batch(None, None, (row("x_omic", 11),))))


def test_snn_starts_normal() -> None:
    """Every linear layer at N(0, 1 / inputs), biases 0 (the vector's notes); torch's own start has a third of that."""
    assert "normal with SD 1/sqrt(fan-in), biases 0" in " ".join(read("mcat_snn").content["notes"])
    torch.manual_seed(0)
    for layer in Snn(FULL, (400,)).modules():
        if isinstance(layer, nn.Linear):
            weight = layer.weight.detach().numpy() * layer.in_features**0.5
            assert weight.std() == pytest.approx(1, abs=3 / weight.size**0.5)
            assert np.mean(weight**4) == pytest.approx(3, abs=20 / weight.size**0.5)  # a uniform law has 1.8
            assert not layer.bias.detach().any()


def test_transformer_layers_start_as_copies() -> None:
    torch.manual_seed(0)
    network = Mcat(FULL, 32, (4, 4))
    for stream in (network.path, network.omic):
        first, second = (layer.state_dict() for layer in stream.layers)
        assert all(torch.equal(first[name], second[name]) for name in first)
    path, omic = (stream.layers[0].state_dict()["linear1.weight"] for stream in (network.path, network.omic))
    assert not torch.equal(path, omic)


def test_an_extra_token_passes_as_many_blocks_as_a_signature() -> None:
    network = Mcat(replace(FULL, dim=16, heads=2), 8, (4, 4), extra=4)
    assert network.extra is not None
    assert [type(part) for part in network.extra.modules()] == [type(part) for part in network.signatures[0].modules()]


def test_loss() -> None:
    vectors = read("mcat_survival_loss")
    cases = vectors.expected("cases")
    logits = torch.tensor([case["logits"] for case in cases], requires_grad=True)
    bins = torch.tensor([case["bin"] for case in cases])
    event = torch.tensor([case["c (1 = censored)"] == 0 for case in cases])
    for alpha in ("0", "0.15", "0.4"):
        title = f"nll alpha {alpha}"
        vectors.compare(nll(logits, bins, event, float(alpha)), [case[title] for case in cases], title)
    for alpha in ("0", "0.15"):
        mean = nll(logits[:6], bins[:6], event[:6], float(alpha)).mean()
        vectors.check(mean, f"nll mean of the first six, alpha {alpha}")
    (gradient,) = torch.autograd.grad(nll(logits[:6], bins[:6], event[:6]).mean(), logits)
    vectors.check(gradient[:6], "gradient of the first mean, alpha 0, with respect to the logits")
