"""The similarity-adjusted contrastive loss (paper, "PAST pretraining").

S = C I^T / t and T = row-softmax((I I^T + C C^T) / (2 t)) for unit image vectors I and cell vectors C, both
``(batch, d)``. Cells that resemble each other are thereby not pushed apart. The paper prints the temperature in the
targets only; the released code divides the logits by it too, which is what a softmax over cosines needs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from past_model.settings import Variant

TEMPERATURE_RANGE = (0.01, 1.0)


@dataclass(frozen=True)
class ContrastiveTargets:
    """Target distributions ``(batch, batch)``: row i of ``cell_to_image`` says which images cell i should find."""

    cell_to_image: Tensor
    image_to_cell: Tensor


def similarity_targets(image: Tensor, cell: Tensor, temperature: Tensor, variant: Variant) -> ContrastiveTargets:
    """Targets of both directions.

    The similarity matrix is symmetric, so its row-softmax is also the properly normalised target of the reverse
    direction; the transposed one that paper and code use has rows that do not sum to 1.
    """
    targets = torch.softmax((image @ image.T + cell @ cell.T) / (2.0 * temperature), dim=-1)
    own = torch.eye(len(targets), device=targets.device, dtype=targets.dtype)
    targets = variant.own_share * own + (1.0 - variant.own_share) * targets
    if not variant.targets_need_gradient:
        targets = targets.detach()
    return ContrastiveTargets(targets, targets.T if variant.transposed_targets else targets)


def contrastive_loss(image: Tensor, cell: Tensor, temperature: Tensor, variant: Variant) -> Tensor:
    """Mean over the batch of the mean of both directions' cross-entropies (scalar).

    ``temperature`` is the raw parameter; it is clamped to [0.01, 1] here.
    """
    temperature = temperature.clamp(*TEMPERATURE_RANGE)
    logits = cell @ image.T / temperature
    targets = similarity_targets(image, cell, temperature, variant)
    cell_term = _cross_entropy(logits, targets.cell_to_image)
    image_term = _cross_entropy(logits.T, targets.image_to_cell)
    return (cell_term + image_term).mean() / 2.0


def _cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    return -(targets * torch.log_softmax(logits, dim=-1)).sum(dim=-1)
