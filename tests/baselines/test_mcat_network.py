"""MCAT's network against a second implementation in NumPy, and what tiles in a bag can and cannot change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from baselines.networks.survival_blocks import MINI, Batch, GatedAttentionPool
from baselines.networks.survival_networks import AttentionMil, DeepSets, Mcat

Float = NDArray[np.float64]
WIDTH, GENOMIC = 5, (3, 4)
QUIET = replace(MINI, dim=8, heads=2, layers=2, feedforward=12, wide=10, dropout=0.0)
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "mcat": lambda: Mcat(QUIET, WIDTH, GENOMIC),
    "attention_mil": lambda: AttentionMil(QUIET, WIDTH),
    "deep_sets": lambda: DeepSets(QUIET, WIDTH),
}


def made(name: str) -> nn.Module:
    torch.manual_seed(0)
    return NETWORKS[name]().double().eval()


def batch(n: int = 3, tiles: int = 6, seed: int = 1) -> Batch:
    rng = np.random.default_rng(seed)
    genomic = tuple(torch.from_numpy(rng.normal(size=(n, width))) for width in GENOMIC)
    return Batch(torch.from_numpy(rng.normal(size=(n, tiles, WIDTH))), None, genomic)


class Reference:
    """MCAT's forward pass for one patient, written from the paper over a plain dict of weights."""

    def __init__(self, weights: dict[str, Float], heads: int, layers: int) -> None:
        self.w, self.heads, self.layers = weights, heads, layers

    def linear(self, name: str, x: Float) -> Float:
        return np.asarray(x @ self.w[f"{name}.weight"].T + self.w[f"{name}.bias"])

    def attention(self, name: str, query: Float, key: Float, heads: int) -> Float:
        dim = query.shape[1]
        w, b = self.w[f"{name}.in_proj_weight"], self.w[f"{name}.in_proj_bias"]
        q, k, v = (
            x @ w[i * dim : (i + 1) * dim].T + b[i * dim : (i + 1) * dim] for i, x in enumerate([query, key, key])
        )
        part = dim // heads
        out = []
        for head in range(heads):
            at = slice(head * part, (head + 1) * part)
            out.append(softmax(q[:, at] @ k[:, at].T / np.sqrt(part)) @ v[:, at])
        return self.linear(f"{name}.out_proj", np.concatenate(out, axis=1))

    def norm(self, name: str, x: Float) -> Float:
        centred = x - x.mean(axis=1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-5)
        return np.asarray(scaled * self.w[f"{name}.weight"] + self.w[f"{name}.bias"])

    def stream(self, name: str, x: Float) -> Float:
        for number in range(self.layers):
            layer = f"{name}.layers.{number}"
            x = self.norm(f"{layer}.norm1", x + self.attention(f"{layer}.self_attn", x, x, self.heads))
            hidden = np.maximum(self.linear(f"{layer}.linear1", x), 0)
            x = self.norm(f"{layer}.norm2", x + self.linear(f"{layer}.linear2", hidden))
        value = np.tanh(self.linear(f"{name}.pool.value.0", x))
        gate = 1 / (1 + np.exp(-self.linear(f"{name}.pool.gate.0", x)))
        weight = softmax(self.linear(f"{name}.pool.score", value * gate).T)
        return np.maximum(self.linear(f"{name}.out.0", weight @ x), 0)

    def __call__(self, tiles: Float, genomic: list[Float]) -> Float:
        tokens = []
        for number, x in enumerate(genomic):
            for block in (0, 1):
                x = elu(self.linear(f"signatures.{number}.{block}.0", x[None] if x.ndim == 1 else x))
            tokens.append(x)
        omic = np.concatenate(tokens)
        seen = np.maximum(self.linear("tiles.0", tiles), 0)
        guided = self.attention("coattention.attention", omic, seen, heads=1)
        fused = np.concatenate([self.stream("path", guided), self.stream("omic", omic)], axis=1)
        for place in (0, 2):
            fused = np.maximum(self.linear(f"fusion.{place}", fused), 0)
        return self.linear("classifier", fused)


def softmax(x: Float) -> Float:
    raised = np.exp(x - x.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def elu(x: Float) -> Float:
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


def test_forward_agrees_with_a_second_implementation() -> None:
    """Post-norm layers, one-head co-attention without residual, genomic stream from before co-attention."""
    network = made("mcat")
    weights = {name: value.detach().numpy() for name, value in network.state_dict().items()}
    reference, data = Reference(weights, QUIET.heads, QUIET.layers), batch()
    assert data.tiles is not None
    with torch.no_grad():
        found = network(data).numpy()
    for row in range(3):
        expected = reference(data.tiles[row].numpy(), [part[row].numpy() for part in data.genomic])
        np.testing.assert_allclose(found[row], expected[0], atol=1e-10)


@pytest.mark.parametrize("name", NETWORKS)
def test_order_of_tiles_does_not_matter(name: str) -> None:
    network, data = made(name), batch()
    assert data.tiles is not None
    torch.testing.assert_close(network(replace(data, tiles=data.tiles.flip(1))), network(data))


@pytest.mark.parametrize("name", NETWORKS)
def test_a_bag_twice_is_the_same_bag(name: str) -> None:
    """Attention and means see shares of tiles, not their number."""
    network, data = made(name), batch()
    assert data.tiles is not None
    torch.testing.assert_close(network(replace(data, tiles=torch.cat([data.tiles] * 2, dim=1))), network(data))


def test_the_released_sum_counts_tiles() -> None:
    torch.manual_seed(0)
    network, data = DeepSets(QUIET, WIDTH, mean=False).double().eval(), batch()
    assert data.tiles is not None
    twice = network(replace(data, tiles=torch.cat([data.tiles] * 2, dim=1)))
    assert not torch.allclose(twice, network(data))


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("rubbish", [0.0, 1e6])
def test_what_stands_in_the_padding_is_never_seen(name: str, rubbish: float) -> None:
    network, data = made(name), batch()
    assert data.tiles is not None
    filler = torch.full((3, 2, WIDTH), rubbish, dtype=torch.float64)
    padding = torch.zeros((3, 8), dtype=torch.bool)
    padding[:, 6:] = True
    padded = replace(data, tiles=torch.cat([data.tiles, filler], dim=1), padding=padding)
    torch.testing.assert_close(network(padded), network(data))


@pytest.mark.parametrize("name", NETWORKS)
def test_every_parameter_is_trained(name: str) -> None:
    """A part that is built but never used would go unnoticed otherwise."""
    network = made(name)
    torch.autograd.backward((network(batch()) * torch.tensor([1.0, -2.0, 0.5, 3.0])).sum())
    unused = [name for name, parameter in network.named_parameters() if parameter.grad is None]
    assert unused == []


def test_gated_attention_by_hand() -> None:
    """Weights that all vanish leave a plain mean; a score of log 3 for one of two tokens gives it three quarters."""
    pool = GatedAttentionPool(2, 1, 0.0)
    with torch.no_grad():
        for parameter in pool.parameters():
            parameter.zero_()
        tokens = torch.tensor([[[1.0, 0.0], [0.0, 2.0]]])
        torch.testing.assert_close(pool(tokens), torch.tensor([[0.5, 1.0]]))
        value: Any = pool.value[0]
        value.weight.copy_(torch.tensor([[1.0, 0.0]]))  # tanh(1) for the first token, 0 for the second; the gate is 1/2
        pool.score.weight.fill_(2 * np.log(3.0) / np.tanh(1.0))
        torch.testing.assert_close(pool(tokens), torch.tensor([[0.75, 0.5]]))
