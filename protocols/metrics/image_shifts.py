"""PSNR and SSIM that forgive a small misregistration: the best over integer shifts of the prediction.

IHC4BC's pairs are serial sections registered by hand, so a perfect prediction may lie a few pixels beside its truth.

Shift-tolerant scores are the best over integer shifts of the prediction by at most ``max_shift`` px. All shifts are
scored on the same pixels of the truth, its centre without a margin of ``max_shift``; so the result is never below the
unshifted score *on that centre* (returned beside it), but may be below the score of the whole image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocols.metrics.image_similarity import (
    Float,
    Images,
    check_pair,
    chunks,
    data_range_of,
    decibels,
    exact,
    mean_squared_error,
    ssim_from_sums,
    window_of,
    window_sums,
    wrong,
)


@dataclass(frozen=True, eq=False)
class ShiftTolerant:
    """Best score over shifts ``(n,)``; the score without a shift on the same pixels ``(n,)``; and the best shift of the
    prediction, int64 ``(n, 2)`` as (down, right) in px, the shortest of equally good ones."""

    value: Float
    unshifted: Float
    shift: NDArray[np.int64]


def psnr_shift_tolerant(
    predicted: Images, truth: Images, max_shift: int, *, data_range: float | None = None
) -> ShiftTolerant:
    """Best PSNR over all (2 max_shift + 1)² shifts, by Fourier transform: the cost hardly grows with the shift."""
    k, span = _check_shift(predicted, truth, max_shift, side=1), data_range_of(truth, data_range)
    steps = _shifts(k)
    best, unshifted, shift = np.empty(len(truth)), np.empty(len(truth)), np.empty((len(truth), 2), dtype=np.int64)
    for rows in chunks(truth):
        moved, centre = predicted[rows], _centre(truth[rows], k)
        chosen = steps[np.argmin(_errors_of_shifts(moved, centre, k)[:, k - steps[:, 0], k - steps[:, 1]], axis=1)]
        at = np.stack([_moved(image, s, k) for image, s in zip(moved, chosen, strict=True)])
        best[rows], shift[rows] = mean_squared_error(at, centre), chosen
        unshifted[rows] = mean_squared_error(_centre(moved, k), centre)
    return ShiftTolerant(decibels(best, span), decibels(unshifted, span), shift)


def ssim_shift_tolerant(
    predicted: Images, truth: Images, max_shift: int, *, window: str = "uniform", data_range: float | None = None
) -> ShiftTolerant:
    """Best windowed SSIM over all shifts; only the product of the two images is filtered anew for each of them."""
    chosen, span = window_of(window, truth.shape), data_range_of(truth, data_range)
    k = _check_shift(predicted, truth, max_shift, side=chosen.side)
    steps = _shifts(k)
    value = np.empty((len(steps), len(truth)))
    for rows in chunks(truth):
        x, y = exact(predicted[rows], chosen), exact(_centre(truth[rows], k), chosen)
        sum_x, sum_xx, sum_y, sum_yy = (window_sums(image, chosen) for image in (x, x * x, y, y * y))
        for i, step in enumerate(steps):
            box = (slice(None), *(slice(k - s, k - s + side) for s, side in zip(step, sum_y.shape[1:3], strict=True)))
            sum_xy = window_sums(np.stack([_moved(image, step, k) for image in x]) * y, chosen)
            value[i, rows] = ssim_from_sums(sum_x[box], sum_y, sum_xx[box] + sum_yy, sum_xy, chosen, span)
    best = value.argmax(axis=0)
    return ShiftTolerant(value.max(axis=0), value[0], steps[best])


def _errors_of_shifts(moved: Images, centre: Images, k: int) -> Float:
    """Mean squared error of the centre with each window of ``moved``, ``(n, 2k + 1, 2k + 1)`` by its corner."""
    from scipy.fft import irfft2, rfft2

    middle = 128.0 if moved.dtype == np.uint8 else float(moved.mean())  # smaller numbers lose fewer digits
    p, t = (np.moveaxis(image.astype(np.float64) - middle, 3, 1) for image in (moved, centre))
    shape = p.shape[2:]
    spectrum = (rfft2(p) * rfft2(t, s=shape).conj()).sum(axis=1)
    product = irfft2(spectrum, s=shape)[:, : 2 * k + 1, : 2 * k + 1]
    area = np.zeros((len(p), shape[0] + 1, shape[1] + 1))
    area[:, 1:, 1:] = (p * p).sum(axis=1).cumsum(axis=1).cumsum(axis=2)
    h, w = t.shape[2:]
    m = 2 * k + 1
    corners = area[:, h : h + m, w : w + m] - area[:, :m, w : w + m] - area[:, h : h + m, :m] + area[:, :m, :m]
    total: Float = corners - 2 * product + (t * t).sum(axis=(1, 2, 3))[:, None, None]
    return np.rint(total) if moved.dtype == np.uint8 else total


def _shifts(k: int) -> NDArray[np.int64]:
    """All shifts (down, right), shortest first, so that the first of equally good ones is the shortest."""
    steps = np.stack(np.meshgrid(*[np.arange(-k, k + 1)] * 2, indexing="ij"), axis=-1).reshape(-1, 2)
    return np.asarray(steps[np.argsort((steps**2).sum(axis=1), kind="stable")], dtype=np.int64)


def _moved(image: Images, step: NDArray[np.int64], k: int) -> Images:
    """The part of one image that lies on the truth's centre once the image has moved by ``step``."""
    down, right = k - int(step[0]), k - int(step[1])
    return image[down : down + image.shape[0] - 2 * k, right : right + image.shape[1] - 2 * k]


def _centre(images: Images, k: int) -> Images:
    return images[:, k : images.shape[1] - k, k : images.shape[2] - k]


def _check_shift(predicted: Images, truth: Images, k: int, *, side: int) -> int:
    check_pair(predicted, truth)
    if k < 0 or min(truth.shape[1:3]) - 2 * k < side:
        raise wrong(f"max_shift {k} on images {truth.shape}", f"{side} px of centre at least", "take a smaller shift")
    return k
