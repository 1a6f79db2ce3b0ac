"""SEQUOIA's networks: published sizes, an independent forward pass, and places without a tile."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from baselines.networks.sequoia_networks import (
    FULL,
    Attention,
    Mixer,
    SequoiaNetwork,
    SequoiaSizes,
    SummaryMixing,
    mean_of_present,
)

SMALL = SequoiaSizes(depth=2, heads=3, head_width=4, feedforward=10)
Arrays = dict[str, NDArray[np.float64]]


def count(module: torch.nn.Module) -> int:
    return sum(part.numel() for part in module.parameters())


@pytest.mark.parametrize(
    ("mixer", "width", "trunk"),
    [("vit", 1024, 50_477_056), ("vit", 2048, 100_941_824), ("vis", 1024, 32_419_840)],
)
def test_published_sizes(mixer: Mixer, width: int, trunk: int) -> None:
    """50.5 M, 100.9 M and 32.4 M parameters without the head, counted on a device that holds no values."""
    with torch.device("meta"):
        network = SequoiaNetwork(mixer, FULL, 100, width, 20_820)
    assert count(network.trunk) == trunk
    if mixer == "vis":
        assert count(network) == 53_762_388


def linear(x: NDArray[np.float64], weight: NDArray[np.float64], bias: NDArray[np.float64]) -> NDArray[np.float64]:
    return x @ weight.T + bias


def norm(x: NDArray[np.float64], gain: NDArray[np.float64], offset: NDArray[np.float64]) -> NDArray[np.float64]:
    centred = x - x.mean(axis=-1, keepdims=True)
    return centred / np.sqrt(x.var(axis=-1, keepdims=True) + 1e-5) * gain + offset


def gelu(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def mixing_by_loop(tokens: NDArray[np.float64], w: Arrays, heads: int, inner: int) -> NDArray[np.float64]:
    """One slide, head after head, written from the description and not from the module. ``tokens`` ``(K, d)``."""
    sides = []
    for head in range(heads):
        own = slice(head * inner, (head + 1) * inner)
        local = linear(tokens, w["local.weight"][own], w["local.bias"][own])
        local = gelu(norm(local, w["local_norm.gain"][head], w["local_norm.offset"][head]))
        mean = linear(tokens, w["summary.weight"][own], w["summary.bias"][own]).mean(axis=0)
        summary = gelu(norm(mean, w["summary_norm.gain"][head], w["summary_norm.offset"][head]))
        both = np.concatenate([local, np.tile(summary, (len(tokens), 1))], axis=1)
        sides.append(gelu(both @ w["join_weight"][head] + w["join_bias"][head]))
    return linear(np.concatenate(sides, axis=1), w["out.weight"], w["out.bias"])


def test_summary_mixing_against_a_loop_over_heads() -> None:
    torch.manual_seed(0)
    mixing = SummaryMixing(7, SMALL)
    for part in mixing.parameters():
        torch.nn.init.normal_(part)
    tokens = torch.randn(2, 5, 7)
    weights = {name: part.double().numpy() for name, part in mixing.state_dict().items()}
    found = mixing(tokens, None).detach().numpy()
    for slide in range(2):
        expected = mixing_by_loop(tokens[slide].double().numpy(), weights, 3, 4)
        np.testing.assert_allclose(found[slide], expected, atol=1e-5)


def test_the_whole_vis_against_numpy() -> None:
    torch.manual_seed(1)
    network = SequoiaNetwork("vis", SMALL, 5, 7, 4)
    w = {name: part.double().numpy() for name, part in network.state_dict().items()}
    tiles = torch.randn(1, 5, 7)
    x = tiles[0].double().numpy() + w["trunk.place"]
    for block in range(2):
        start = f"trunk.blocks.{block}."
        own = {name.removeprefix(f"{start}mix."): part for name, part in w.items() if name.startswith(f"{start}mix.")}
        x = x + mixing_by_loop(x, own, 3, 4)
        f = f"{start}feedforward."
        hidden = gelu(linear(norm(x, w[f + "0.weight"], w[f + "0.bias"]), w[f + "1.weight"], w[f + "1.bias"]))
        x = x + linear(hidden, w[f + "3.weight"], w[f + "3.bias"])
    expected = linear(norm(x.mean(axis=0), w["norm.weight"], w["norm.bias"]), w["output.weight"], w["output.bias"])
    found = network(tiles, torch.ones((1, 5), dtype=torch.bool)).detach().numpy()[0]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_attention_against_torch() -> None:
    """With the same weights, torch's own multi-head attention; it wants heads x head width = width."""
    torch.manual_seed(2)
    attention = Attention(12, SMALL)
    reference = torch.nn.MultiheadAttention(12, 3, bias=False, batch_first=True)
    with torch.no_grad():
        reference.in_proj_weight.copy_(attention.qkv.weight)
        reference.out_proj.weight.copy_(attention.out.weight)
    tokens = torch.randn(2, 6, 12)
    present = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])
    normed = attention.norm(tokens)
    expected = reference(normed, normed, normed, key_padding_mask=~present, need_weights=False)[0]
    torch.testing.assert_close(attention(tokens, present), expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("mixer", ["vit", "vis"])
def test_absent_places_do_not_matter(mixer: Mixer) -> None:
    torch.manual_seed(3)
    network = SequoiaNetwork(mixer, SMALL, 6, 7, 4)
    tiles, present = torch.randn(1, 6, 7), torch.tensor([[True, True, False, True, True, False]])
    first = network(tiles, present)
    tiles[0, [2, 5]] = 1e3
    torch.testing.assert_close(network(tiles, present), first)
    with torch.no_grad():
        network.trunk.place[[2, 5]] += 10.0
    torch.testing.assert_close(network(tiles, present), first)


@pytest.mark.parametrize("mixer", ["vit", "vis"])
def test_a_masked_slide_equals_a_shorter_one(mixer: Mixer) -> None:
    """Four tiles and two absent places answer as a network of four places with the same weights."""
    torch.manual_seed(4)
    long, short = SequoiaNetwork(mixer, SMALL, 6, 7, 4), SequoiaNetwork(mixer, SMALL, 4, 7, 4)
    state = long.state_dict()
    short.load_state_dict(state | {"trunk.place": state["trunk.place"][:4]})
    tiles, present = torch.randn(1, 6, 7), torch.tensor([[True] * 4 + [False] * 2])
    torch.testing.assert_close(long(tiles, present), short(tiles[:, :4], present[:, :4]))


@pytest.mark.parametrize("mixer", ["vit", "vis"])
def test_unmasked_padding_takes_part(mixer: Mixer) -> None:
    """As released: the place's row of an absent tile is read like any other."""
    torch.manual_seed(5)
    network = SequoiaNetwork(mixer, SMALL, 6, 7, 4, masked=False)
    tiles, present = torch.randn(1, 6, 7), torch.tensor([[True] * 4 + [False] * 2])
    first = network(tiles, present)
    with torch.no_grad():
        network.trunk.place[4:] += torch.randn(2, 7)
    assert not torch.allclose(network(tiles, present), first, atol=1e-3)


@pytest.mark.parametrize("mixer", ["vit", "vis"])
def test_no_tile_at_all_is_finite(mixer: Mixer) -> None:
    network = SequoiaNetwork(mixer, SMALL, 6, 7, 4)
    answer = network(torch.zeros(2, 6, 7), torch.zeros((2, 6), dtype=torch.bool))
    answer.sum().backward()
    assert torch.isfinite(answer).all()
    assert all(torch.isfinite(part.grad).all() for part in network.parameters() if part.grad is not None)


def test_scale_leaves_absent_places_zero() -> None:
    network = SequoiaNetwork("vit", SMALL, 2, 3, 4)
    network.trunk.scale.mean.fill_(5.0)
    network.trunk.scale.spread.fill_(2.0)
    scaled = network.trunk.scale(torch.full((1, 2, 3), 9.0), torch.tensor([[True, False]]))
    assert scaled.tolist() == [[[2.0] * 3, [0.0] * 3]]


def test_mean_of_present_by_hand() -> None:
    tokens = torch.tensor([[[1.0], [3.0], [100.0]]])
    assert mean_of_present(tokens, torch.tensor([[True, True, False]])).item() == 2.0
    assert mean_of_present(tokens, None).item() == pytest.approx(104 / 3)
