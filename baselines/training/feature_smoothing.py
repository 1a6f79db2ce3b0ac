"""Feature distribution smoothing (Yang et al., Delving into Deep Imbalanced Regression, ICML 2021) for many genes."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

MOMENTUM = 0.9
RATIO = (0.1, 10.0)
NO_VARIANCE = 1e-10


class FeatureDistributionSmoothing:
    """One smoother per gene, all in one tensor: statistics of the features in each bin of a gene's target.

    Targets are scaled to [0, 1] and cut into ``bins``. After an epoch, mean and variance of the features in each bin
    enter running statistics (the first epoch replaces them, later ones weigh 0.1); these are smoothed over bins by a
    Gaussian kernel with reflected borders. In training a feature f in bin b becomes

        (f - m_b) sqrt(clip(v'_b / v_b, 0.1, 10)) + m'_b          (' = smoothed)

    All as HEX's released code does it, what is particular to it included: a bin that was never seen takes the mean of
    its neighbours as they stand, from low to high, before the kernel runs (the first and last bin copy their
    neighbour); a single value has variance 0; a feature without variance in its bin stays as it is, and so do all of
    a bin whose variances sum to less than 1e-10. Unmeasured entries, which the release does not know, take no part.
    """

    def __init__(self, genes: int, width: int, bins: int, kernel: int = 9, sigma: float = 2.0) -> None:
        self.bins = bins
        self._kernel = smoothing_kernel(min(kernel, 2 * bins - 1), sigma)
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
        count, mean, variance = self._of_epoch(features, member.flatten(1).T.to(features.dtype))
        now, old = count > 0, 0.0 if self._last is None else MOMENTUM
        self._mean = torch.where(now, old * self._mean + (1 - old) * mean, self._mean)
        self._variance = torch.where(now, old * self._variance + (1 - old) * variance, self._variance)
        self._seen = self._seen | now[..., 0]
        self._mean, self._variance = self._filled(self._mean), self._filled(self._variance)
        self._last = (self._mean, self._variance, self._smoothed(self._mean), self._smoothed(self._variance))

    def _of_epoch(self, features: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Number, mean and unbiased variance in each bin; sums are of distances from the mean of all features."""
        middle = features.mean(dim=0)
        near = features - middle
        count = weight.sum(dim=1).view(*self._seen.shape, 1)
        mean = (weight @ near).view_as(self._mean) / count.clamp(min=1)
        square = (weight @ near.square()).view_as(self._mean) / count.clamp(min=1)
        variance = (square - mean.square()).clamp(min=0) * count / (count - 1).clamp(min=1)
        return count, mean + middle, torch.where(count > 1, variance, 0.0)

    def _filled(self, table: Tensor) -> Tensor:
        """Bins that were never seen, one after the other from low to high, from their neighbours."""
        table, last = table.clone(), self.bins - 1
        for b in range(self.bins if last else 0):
            below, above = (b - 1 if b else 1), (b + 1 if b < last else last - 1)
            guess = (table[:, below] + table[:, above]) / 2
            table[:, b] = torch.where(self._seen[:, b, None], table[:, b], guess)
        return table

    def smooth(self, features: Tensor, unit_targets: Tensor) -> Tensor:
        """Recalibrated features per gene, ``(n, genes, width)``; the plain ones before the first update."""
        wide = features[:, None, :].expand(-1, self._seen.shape[0], -1)
        if self._last is None:
            return wide
        bin_index = self.bin_of(unit_targets)
        gene = torch.arange(self._seen.shape[0], device=features.device)
        mean, variance, new_mean, new_variance = (table[gene, bin_index] for table in self._last)
        varies = (variance > 0) & (variance.sum(dim=-1, keepdim=True) >= NO_VARIANCE)
        factor = (new_variance / torch.where(varies, variance, 1.0)).clamp(*RATIO).sqrt()
        return torch.where(varies, (wide - mean) * factor + new_mean, wide)

    def _smoothed(self, table: Tensor) -> Tensor:
        """Gaussian average over bins, ``(genes, bins, width)``."""
        half = len(self._kernel) // 2
        genes, bins, width = table.shape
        rows = table.permute(0, 2, 1).reshape(genes * width, 1, bins)
        padded = functional.pad(rows, (half, half), mode="reflect")
        return functional.conv1d(padded, self._kernel.view(1, 1, -1)).view(genes, width, bins).permute(0, 2, 1)


def smoothing_kernel(size: int, sigma: float) -> Tensor:
    """The published kernel: an image library's Gaussian filter on a single 1, whose tails come back at the ends.

    Odd ``size``; sums to 1. A plain Gaussian cut to this size is up to 23 % lower at its ends.
    """
    from scipy.ndimage import gaussian_filter1d

    impulse = np.zeros(size)
    impulse[size // 2] = 1.0
    kernel = gaussian_filter1d(impulse, sigma)
    return torch.from_numpy(kernel / kernel.sum()).float()
