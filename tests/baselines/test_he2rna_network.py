"""HE2RNA: top-k pooling against a loop, the trap of padded zeros, and which k are used."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from baselines.networks.he2rna_network import (
    KS,
    ORIGINAL,
    SEQUOIA,
    He2rnaNetwork,
    He2rnaSizes,
    pool_as_released,
    pool_top,
)

SMALL = He2rnaSizes((5, 4), 0.25)


def pool_by_loop(scores: NDArray[np.float64], present: NDArray[np.bool_], ks: tuple[int, ...]) -> NDArray[np.float64]:
    answer = np.zeros((scores.shape[0], scores.shape[2]))
    for slide in range(scores.shape[0]):
        for gene in range(scores.shape[2]):
            own = sorted(scores[slide, present[slide], gene], reverse=True)
            answer[slide, gene] = np.mean([np.mean(own[:k]) if own else 0.0 for k in ks])
    return answer


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), places=st.integers(1, 9), shift=st.floats(-5, 5))
def test_pooling_against_a_loop(seed: int, places: int, shift: float) -> None:
    rng = np.random.default_rng(seed)
    scores, present = rng.normal(shift, 1, size=(3, places, 4)), rng.random((3, places)) < 0.7
    ks = tuple(k for k in KS if k <= places)
    found = pool_top(torch.from_numpy(scores), torch.from_numpy(present), ks).numpy()
    np.testing.assert_allclose(found, pool_by_loop(scores, present, ks), atol=1e-12)


def test_the_whole_network_against_numpy() -> None:
    torch.manual_seed(0)
    network = He2rnaNetwork(SMALL, 6, 3, 2).eval()
    w = {name: part.double().numpy() for name, part in network.state_dict().items()}
    tiles, present = torch.randn(2, 6, 3), torch.tensor([[True] * 6, [False, True, True, False, True, False]])
    hidden = tiles.double().numpy()
    for layer in range(2):
        hidden = np.maximum(hidden @ w[f"trunk.layers.{layer}.weight"].T + w[f"trunk.layers.{layer}.bias"], 0)
    scores = hidden @ w["output.weight"].T + w["output.bias"]
    expected = pool_by_loop(scores, present.numpy(), (1, 2, 5))
    np.testing.assert_allclose(network(tiles, present).detach().numpy(), expected, atol=1e-6)


def test_padding_outranks_negative_scores_as_released_and_not_here() -> None:
    """Three tiles score -1, -2, -3; two are padding. Top 2: -1.5; the release gets 0 from the padding's zeros."""
    scores = torch.tensor([-1.0, -2.0, -3.0, 7.0, 7.0]).view(1, 5, 1)
    present = torch.tensor([[True, True, True, False, False]])
    assert pool_top(scores, present, (2,)).item() == -1.5
    assert pool_as_released(scores, present, (2,)).item() == 0.0
    assert pool_top(-scores, present, (2,)).item() == 2.5
    assert pool_as_released(-scores, present, (2,)).item() == 2.5  # positive scores in front: both agree
    assert pool_as_released(scores, present, (5,)).item() == pytest.approx(
        -1 / 3
    )  # 0, 0, -1 over three tiles: truncated


def test_without_padding_both_agree() -> None:
    scores, present = torch.randn(4, 10, 3, dtype=torch.float64), torch.ones((4, 10), dtype=torch.bool)
    torch.testing.assert_close(pool_top(scores, present, (1, 2, 10)), pool_as_released(scores, present, (1, 2, 10)))


def test_no_tile_gives_zero_with_finite_gradients() -> None:
    for masked in (True, False):
        network = He2rnaNetwork(SMALL, 4, 3, 2, masked=masked)
        answer = network(torch.zeros(1, 4, 3), torch.zeros((1, 4), dtype=torch.bool))
        answer.sum().backward()
        assert answer.tolist() == [[0.0, 0.0]]
        assert all(torch.isfinite(part.grad).all() for part in network.parameters() if part.grad is not None)


def test_ks_fit_the_places() -> None:
    assert He2rnaNetwork(SMALL, 100, 3, 2).ks == KS
    assert He2rnaNetwork(SMALL, 16, 3, 2).ks == (1, 2, 5, 10)
    assert He2rnaNetwork(SMALL, 1, 3, 2).ks == (1,)


def test_one_k_is_one_pooling_and_none_is_their_mean() -> None:
    torch.manual_seed(1)
    network = He2rnaNetwork(SMALL, 6, 3, 2).eval()
    tiles, present = torch.randn(2, 6, 3), torch.ones((2, 6), dtype=torch.bool)
    single = torch.stack([network(tiles, present, k=k) for k in network.ks])
    torch.testing.assert_close(network(tiles, present), single.mean(dim=0))
    assert (single[0] >= single[-1]).all()  # the best tile is never below the mean of the best


def test_order_of_tiles_does_not_matter() -> None:
    network = He2rnaNetwork(SMALL, 6, 3, 2).eval()
    tiles, present = torch.randn(2, 6, 3), torch.tensor([[True] * 6, [True, False] * 3])
    order = torch.randperm(6)
    torch.testing.assert_close(network(tiles, present), network(tiles[:, order], present[:, order]))


def test_published_sizes() -> None:
    with torch.device("meta"):
        original, again = He2rnaNetwork(ORIGINAL["full"], 100, 2048, 7), He2rnaNetwork(SEQUOIA["full"], 100, 2048, 7)
    assert sum(part.numel() for part in original.parameters()) == 2048 * 1024 + 1024 + 1024 * 1024 + 1024 + 7 * 1025
    assert sum(part.numel() for part in again.parameters()) == 2048 * 256 + 256 + 256 * 256 + 256 + 7 * 257
    assert (original.trunk.dropout.p, again.trunk.dropout.p) == (0.25, 0.5)
