"""The contrastive loss by hand on two pairs, and what the variants' targets are."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from past_model.loss import contrastive_loss, similarity_targets
from past_model.settings import CORRECTED, FAITHFUL, Variant
from tests.past_model.tiny import VARIANTS

HALF = torch.tensor(0.5)


def two() -> tuple[Tensor, Tensor]:
    """Images (1,0), (0.6,0.8); cells (0,1), (0.8,0.6): I·I' = 0.6, C·C' = 0.6, C I' = [[0, 0.8], [0.8, 0.96]]."""
    return torch.tensor([[1.0, 0.0], [0.6, 0.8]]), torch.tensor([[0.0, 1.0], [0.8, 0.6]])


def log_softmax(a: float, b: float) -> tuple[float, float]:
    total = math.log(math.exp(a) + math.exp(b))
    return a - total, b - total


def by_hand(variant: Variant) -> float:
    """t = 0.5: logits 2 C I'; similarities (I I' + C C') / (2 t) are 2 on the diagonal and 1.2 off it."""
    own = math.exp(2.0) / (math.exp(2.0) + math.exp(1.2))
    own = variant.own_share + (1 - variant.own_share) * own
    other = 1 - own
    first, second = log_softmax(0.0, 1.6), log_softmax(1.6, 1.92)  # the logits are symmetric: both directions alike
    cell_term = [-(own * first[0] + other * first[1]), -(other * second[0] + own * second[1])]
    return sum(cell_term) * 2 / 2 / 2  # two equal directions, their mean, the batch's mean


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: v.name)
def test_two_pairs_by_hand(variant: Variant) -> None:
    image, cell = two()
    assert contrastive_loss(image, cell, HALF, variant).item() == pytest.approx(by_hand(variant), rel=1e-5)


def unit(n: int, seed: int) -> Tensor:
    vectors = torch.randn(n, 6, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(vectors, dim=-1)


def reference(image: np.ndarray, cell: np.ndarray, t: float, variant: Variant) -> float:
    """Written out with loops, in float64."""
    n = len(image)
    target = np.array([[math.exp((image[i] @ image[j] + cell[i] @ cell[j]) / (2 * t)) for j in range(n)] for i in range(n)])
    target /= target.sum(axis=1, keepdims=True)
    target = variant.own_share * np.eye(n) + (1 - variant.own_share) * target
    total = 0.0
    for i in range(n):
        to_image = np.array([cell[i] @ image[j] / t for j in range(n)])
        to_cell = np.array([image[i] @ cell[j] / t for j in range(n)])
        back = target[:, i] if variant.transposed_targets else target[i]
        total -= target[i] @ (to_image - np.log(np.exp(to_image).sum()))
        total -= back @ (to_cell - np.log(np.exp(to_cell).sum()))
    return total / (2 * n)


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: v.name)
def test_agrees_with_a_reference_with_loops(variant: Variant) -> None:
    image, cell = unit(7, 1), unit(7, 2)
    expected = reference(image.double().numpy(), cell.double().numpy(), 0.2, variant)
    assert contrastive_loss(image, cell, torch.tensor(0.2), variant).item() == pytest.approx(expected, rel=1e-5)


def test_reverse_targets_sum_to_one_only_where_corrected() -> None:
    image, cell = unit(5, 3), unit(5, 4)
    right = similarity_targets(image, cell, HALF, CORRECTED)
    wrong = similarity_targets(image, cell, HALF, FAITHFUL)
    one = torch.ones(5)
    for targets in (right.cell_to_image, right.image_to_cell, wrong.cell_to_image):
        torch.testing.assert_close(targets.sum(dim=1), one)
    assert (wrong.image_to_cell.sum(dim=1) - one).abs().max() > 0.05
    torch.testing.assert_close(wrong.image_to_cell, wrong.cell_to_image.T)


def test_gradient_flows_through_the_targets_only_in_the_released_code() -> None:
    image, cell = unit(4, 5).requires_grad_(), unit(4, 6)
    assert similarity_targets(image, cell, HALF, FAITHFUL).cell_to_image.requires_grad
    assert not similarity_targets(image, cell, HALF, CORRECTED).cell_to_image.requires_grad


def test_temperature_is_clamped() -> None:
    image, cell = unit(4, 7), unit(4, 8)
    for outside, at in ((5.0, 1.0), (-3.0, 0.01)):
        left = contrastive_loss(image, cell, torch.tensor(outside), CORRECTED)
        torch.testing.assert_close(left, contrastive_loss(image, cell, torch.tensor(at), CORRECTED))


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: v.name)
def test_order_of_pairs_does_not_matter(variant: Variant) -> None:
    image, cell, order = unit(6, 9), unit(6, 10), torch.tensor([3, 1, 5, 0, 2, 4])
    torch.testing.assert_close(
        contrastive_loss(image, cell, HALF, variant), contrastive_loss(image[order], cell[order], HALF, variant)
    )


def test_collapse_is_a_fixed_point_only_without_an_own_share() -> None:
    """With all embeddings nearly equal, pulling pair i together must lower the loss if targets know who is who."""
    base = torch.nn.functional.normalize(torch.tensor([[1.0, 0.0, 0.0, 0.0]]).repeat(4, 1), dim=-1)
    step = 0.05 * torch.eye(4)
    apart = torch.nn.functional.normalize(base + step, dim=-1)

    def gain(variant: Variant) -> float:
        together = contrastive_loss(base, base, HALF, variant)
        return float(together - contrastive_loss(apart, apart, HALF, variant))

    assert gain(replace(CORRECTED, own_share=0.5)) > 10 * abs(gain(replace(CORRECTED, own_share=0.0)))
