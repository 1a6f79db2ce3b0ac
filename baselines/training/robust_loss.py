"""The adaptive robust loss of Barron (CVPR 2019), with a learnable shape and scale per marker."""

from __future__ import annotations

import math
from functools import cache
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

_SHAPE_RANGE = (0.001, 1.999)
_SCALE_FLOOR = 1e-5
_KNOTS = 401
_NODES = 400


def general_loss(x: Tensor, shape: Tensor, scale: Tensor) -> Tensor:
    """rho(x, alpha, c) = |alpha - 2| / alpha * (((x/c)^2 / |alpha - 2| + 1)^(alpha / 2) - 1), eq. 8 of the paper.

    For shapes strictly between 0 and 2, where the formula needs no limit: 2 would be half the squared error, 0 the
    Cauchy loss.
    """
    distance = 2.0 - shape
    return distance / shape * (((x / scale).square() / distance + 1.0) ** (shape / 2.0) - 1.0)


def log_partition(
    shape: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """log of Z(alpha), the integral of exp(-rho(x, alpha, 1)) over the line (eq. 17), for shapes in (0, 2).

    Gauss-Legendre quadrature after x = sqrt(2) tan(t), under which the heaviest tail (alpha 0, Cauchy) is constant.
    Known values: Z(0) = pi sqrt(2), Z(1) = 2 e K1(1), Z(2) = sqrt(2 pi).
    """
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    angle = nodes * (math.pi / 2)
    x = math.sqrt(2) * np.tan(angle)
    jacobian = math.sqrt(2) / np.cos(angle) ** 2 * (math.pi / 2)
    alpha = np.asarray(shape, dtype=np.float64)[..., None]
    rho = (2 - alpha) / alpha * ((x**2 / (2 - alpha) + 1) ** (alpha / 2) - 1)
    return cast(
        "np.ndarray[tuple[int, ...], np.dtype[np.float64]]", np.log((weights * jacobian * np.exp(-rho)).sum(axis=-1))
    )


@cache
def _partition_table() -> Tensor:
    """Between each two knots: the value at the left one, the rise, and how far the slopes at both ends are from it;
    float32 ``(4, knots - 1)``. Differences are taken in float64: in float32 they would cost the gradient a digit."""
    from scipy.interpolate import CubicSpline

    shapes = np.linspace(*_SHAPE_RANGE, _KNOTS)
    spline = CubicSpline(shapes, log_partition(shapes))
    value, slope = spline(shapes), spline(shapes, 1) * (shapes[1] - shapes[0])
    rise = np.diff(value)
    return torch.from_numpy(np.stack([value[:-1], rise, slope[:-1] - rise, slope[1:] - rise])).float()


def interpolated_log_partition(shape: Tensor) -> Tensor:
    """:func:`log_partition` by a cubic spline in a table (error below 1e-6), with a gradient that is smooth, too."""
    low, high = _SHAPE_RANGE
    position = (shape - low) / (high - low) * (_KNOTS - 1)
    left = position.detach().floor().long().clamp(0, _KNOTS - 2)
    value, rise, at_left, at_right = _partition_table().to(shape.device)[:, left]
    t = position - left
    return cast(Tensor, value + t * rise + t * (1 - t) * ((1 - t) * at_left - t * at_right))


class AdaptiveRobustLoss(nn.Module):
    """Negative log-likelihood rho(x, alpha, c) + log c + log Z(alpha), alpha and c learned per marker.

    alpha = 0.001 + 1.998 sigmoid(a), from 1; c = 1e-5 + (1 - 1e-5) softplus(b + log(e - 1)), from 1: the defaults of
    the published implementation. HEX gives both a learning rate of their own.
    """

    def __init__(self, markers: int) -> None:
        super().__init__()
        self.latent_shape = nn.Parameter(torch.zeros(markers))
        self.latent_scale = nn.Parameter(torch.zeros(markers))

    def shape(self) -> Tensor:
        low, high = _SHAPE_RANGE
        return low + (high - low) * torch.sigmoid(self.latent_shape)

    def scale(self) -> Tensor:
        return _SCALE_FLOOR + (1 - _SCALE_FLOOR) * functional.softplus(self.latent_scale + math.log(math.e - 1))

    def forward(self, residual: Tensor, measured: Tensor) -> Tensor:
        """Mean over the measured entries of ``residual`` ``(batch, markers)``; ``measured`` is its boolean mask."""
        shape, scale = self.shape(), self.scale()
        residual = torch.where(measured, residual, torch.zeros_like(residual))
        per_entry = general_loss(residual, shape, scale) + (scale.log() + interpolated_log_partition(shape))
        return (per_entry * measured).sum() / measured.sum().clamp(min=1)
