"""Feature distribution smoothing (Yang et al., Delving into Deep Imbalanced Regression, ICML 2021) for many genes."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional


class FeatureDistributionSmoothing:
    """One smoother per gene, all in one tensor: statistics of the features in each bin of a gene's target.

    Targets are scaled to [0, 1] and cut into ``bins``. After an epoch, mean and variance of the features in each bin
    enter running statistics (momentum 0.9, the first time they replace); these are smoothed over bins by a Gaussian
    kernel with reflected borders. In training a feature f in bin b becomes

        (f - m_b) sqrt(clip(v'_b / v_b, 0.1, 10)) + m'_b          (HEX's recipe; ' = smoothed)

    Where a bin was never seen, the kernel runs over the seen bins alone (the published code fills such bins from
    their neighbours); with every bin seen the two agree. Unmeasured entries take no part.
    """

    def __init__(self, genes: int, width: int, bins: int, kernel: int = 9, sigma: float = 2.0) -> None:
        self.bins = bins
        self._momentum = 0.9
        self._kernel = gaussian_kernel(min(kernel, 2 * bins - 1), sigma)
        self._mean = torch.zeros(genes, bins, width)
        self._variance = torch.ones(genes, bins, width)
        self._seen = torch.zeros(genes, bins, dtype=torch.bool)
        self._last: tuple[Tensor, Tensor, Tensor, Tensor] | None = None

    def to(self, device: torch.device) -> FeatureDistributionSmoothing:
        for name in ("_kernel", "_mean", "_variance", "_seen"):
            setattr(self, name, getattr(self, name).to(device))
        return self

    def bin_of(self, unit_targets: Tensor) -> Tensor:
        """Bin of each target in [0, 1]; values outside fall into the first and last bin."""
        return (unit_targets * self.bins).floor().long().clamp(0, self.bins - 1)

    @torch.no_grad()
    def update(self, features: Tensor, unit_targets: Tensor, measured: Tensor) -> None:
        """End of an epoch: ``features`` ``(n, width)``, targets and mask ``(n, genes)``."""
        member = functional.one_hot(self.bin_of(unit_targets), self.bins) * measured[..., None]  # n, genes, bins
        weight = member.flatten(1).T.to(features.dtype)
        count = weight.sum(dim=1).view(*self._seen.shape, 1)
        mean = (weight @ features).view_as(self._mean) / count.clamp(min=1)
        square = (weight @ features.square()).view_as(self._mean) / count.clamp(min=1)
        # unbiased, as the published code; a single value has no variance and keeps the old one
        variance = (square - mean.square()).clamp(min=0) * count / (count - 1).clamp(min=1)
        now = count > 0
        variance = torch.where(count > 1, variance, self._variance)
        old = torch.where(self._seen[..., None], self._momentum, 0.0)
        self._mean = torch.where(now, old * self._mean + (1 - old) * mean, self._mean)
        self._variance = torch.where(now, old * self._variance + (1 - old) * variance, self._variance)
        self._seen |= now[..., 0]
        self._last = (self._mean, self._variance, self._smoothed(self._mean), self._smoothed(self._variance))

    def smooth(self, features: Tensor, unit_targets: Tensor) -> Tensor:
        """Recalibrated features per gene, ``(n, genes, width)``; the plain ones before the first update."""
        wide = features[:, None, :].expand(-1, self._seen.shape[0], -1)
        if self._last is None:
            return wide
        bin_index = self.bin_of(unit_targets)
        gene = torch.arange(self._seen.shape[0], device=features.device)
        mean, variance, new_mean, new_variance = (table[gene, bin_index] for table in self._last)
        factor = (new_variance / variance.clamp(min=1e-12)).clamp(0.1, 10.0).sqrt()
        return torch.where(variance > 1e-10, (wide - mean) * factor + new_mean, wide)

    def _smoothed(self, table: Tensor) -> Tensor:
        """Gaussian average over bins, ``(genes, bins, width)``, over the seen bins alone."""
        weight = self._seen[..., None].to(table.dtype)
        total = self._convolve(table * weight)
        return torch.where(weight > 0, total / self._convolve(weight).clamp(min=1e-12), table)

    def _convolve(self, table: Tensor) -> Tensor:
        half = len(self._kernel) // 2
        genes, bins, width = table.shape
        rows = table.permute(0, 2, 1).reshape(genes * width, 1, bins)
        padded = functional.pad(rows, (half, half), mode="reflect")
        return functional.conv1d(padded, self._kernel.view(1, 1, -1)).view(genes, width, bins).permute(0, 2, 1)


def gaussian_kernel(size: int, sigma: float) -> Tensor:
    """Odd-sized Gaussian that sums to 1."""
    half = size // 2
    weight = torch.tensor([math.exp(-0.5 * (i / sigma) ** 2) for i in range(-half, half + 1)])
    return weight / weight.sum()
