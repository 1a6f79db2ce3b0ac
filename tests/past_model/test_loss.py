"""The similarity-adjusted loss, by hand for two pairs and against an independent implementation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from past_model.loss import contrastive_loss, similarity_targets
from past_model.settings import CORRECTED, FAITHFUL, OWN_CROP

ONE = torch.tensor(1.0)


def unit(n: int, d: int, seed: int) -> torch.Tensor:
    return functional.normalize(torch.randn(n, d, generator=torch.Generator().manual_seed(seed)), dim=1)


def test_two_orthogonal_pairs_by_hand() -> None:
    """I = C = identity, t = 1: S = 1 on the diagonal and 0 beside, T = softmax(1, 0) = (0.7311, 0.2689)."""
    eye = torch.eye(2)
    p = np.e / (np.e + 1)
    expected = -(p * np.log(p) + (1 - p) * np.log(1 - p))
    assert contrastive_loss(eye, eye, ONE, FAITHFUL).item() == pytest.approx(expected, rel=1e-6)


def test_two_unlike_pairs_by_hand() -> None:
    """I = ((1,0),(0,1)), C = ((1,0),(1,0)), t = 1: targets softmax((2,1)/2) and softmax((1,2)/2)."""
    image, cell = torch.eye(2), torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    a = 1 / (1 + np.exp(-0.5))
    p = np.e / (np.e + 1)
    targets = np.array([[a, 1 - a], [1 - a, a]])
    log_s = np.log([[p, 1 - p], [p, 1 - p]])
    log_s_reverse = np.log([[0.5, 0.5], [0.5, 0.5]])
    expected = (-(targets * log_s).sum() - (targets.T * log_s_reverse).sum()) / 4
    assert contrastive_loss(image, cell, ONE, FAITHFUL).item() == pytest.approx(expected, rel=1e-6)


def test_reverse_targets_sum_to_one_only_when_corrected() -> None:
    image, cell = unit(5, 3, 0), unit(5, 3, 1)
    faithful = similarity_targets(image, cell, ONE, FAITHFUL).image_to_cell.sum(dim=1)
    corrected = similarity_targets(image, cell, ONE, CORRECTED).image_to_cell.sum(dim=1)
    assert (faithful - 1).abs().max() > 0.01
    torch.testing.assert_close(corrected, torch.ones(5))


def test_forward_targets_sum_to_one_in_both() -> None:
    for variant in (FAITHFUL, CORRECTED):
        targets = similarity_targets(unit(5, 3, 0), unit(5, 3, 1), ONE * 0.1, variant)
        torch.testing.assert_close(targets.cell_to_image.sum(dim=1), torch.ones(5))


def test_agrees_with_torchs_cross_entropy() -> None:
    image, cell, t = unit(6, 4, 2), unit(6, 4, 3), torch.tensor(0.2)
    targets = torch.softmax((image @ image.T + cell @ cell.T) / 2 / t, dim=1)
    logits = cell @ image.T / t
    expected = (functional.cross_entropy(logits, targets) + functional.cross_entropy(logits.T, targets.T)) / 2
    torch.testing.assert_close(contrastive_loss(image, cell, t, FAITHFUL), expected)


def test_gradient_flows_through_the_targets_only_in_the_released_form() -> None:
    image = unit(4, 3, 0).requires_grad_()
    assert similarity_targets(image, unit(4, 3, 1), ONE, FAITHFUL).cell_to_image.requires_grad
    assert not similarity_targets(image, unit(4, 3, 1), ONE, CORRECTED).cell_to_image.requires_grad


def test_temperature_is_clamped() -> None:
    image, cell = unit(4, 3, 0), unit(4, 3, 1)
    at = {t: contrastive_loss(image, cell, torch.tensor(t), FAITHFUL) for t in (0.001, 0.01, 1.0, 7.0)}
    assert at[0.001] == at[0.01]
    assert at[1.0] == at[7.0]


def test_near_one_point_for_all_only_a_share_for_the_own_crop_parts_the_pairs() -> None:
    """Where all embeddings are nearly equal, so are the released targets: what is left of the gradient along the
    sphere is of second order in the differences. A share for a cell's own crop makes it of first order."""

    def push(own_share: float) -> float:
        point = unit(1, 3, 0).double()
        image = (point + 1e-3 * unit(4, 3, 1)).requires_grad_()
        cell = point + 1e-3 * unit(4, 3, 2)
        contrastive_loss(image, cell, ONE.double() * 0.1, replace(CORRECTED, own_share=own_share)).backward()
        gradient = image.grad - image.grad.mean(dim=0)
        return float((gradient - (gradient @ point.T) * point).norm())

    assert OWN_CROP.own_share > 0 == CORRECTED.own_share == FAITHFUL.own_share
    assert push(0.0) < 0.05 * push(OWN_CROP.own_share)
