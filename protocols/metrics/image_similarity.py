"""How alike two images are: PSNR and SSIM of batches, and means per patient.

Images are RGB batches ``(n, h, w, 3)``, both uint8 (data range 255) or both floating (the data range must be given).
Scores are float64 ``(n,)``, always finite:

* PSNR of identical images is infinite; every PSNR is therefore capped at :data:`PSNR_CAP_DB` (the order of images stays
  right, and one identical pair cannot make a mean infinite). :class:`ImageSimilarity` counts identical pairs.
* SSIM of constant images is defined by its constants C1 and C2.

Standard and variants. SSIM is the mean over windows and channels with scikit-image's defaults (Wang et al. 2004,
"uniform" below); :func:`ssim_global` is the formula as PAST prints it (Methods, "Single-cell virtual
immunohistochemistry"): one window, the whole image, which forgives any disorder that keeps means and variances. PSNR is
of the data range; PAST prints MAX as the image's own maximum, ``data_range="image maximum"``, which for a dark image
gives fewer decibels. Shift-tolerant forms: :mod:`protocols.metrics.image_shifts`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from protocols.errors import UserError, look_up

Float = NDArray[np.float64]
Images = NDArray[Any]
DataRange = float | Literal["image maximum"] | None

PSNR_CAP_DB = 100.0
K1, K2 = 0.01, 0.03
_AT_ONCE = 2**18  # values of one chunk: its arrays stay in the processor's cache


@dataclass(frozen=True)
class SsimWindow:
    """Local window of SSIM: side in px, Gaussian sigma (None: uniform), covariances over n - 1 or n."""

    side: int
    sigma: float | None
    sample_covariance: bool

    @property
    def covariance_factor(self) -> float:
        n = self.side**2
        return n / (n - 1) if self.sample_covariance else 1.0


SSIM_WINDOWS: Mapping[str, SsimWindow] = {
    "uniform": SsimWindow(7, None, True),  # scikit-image's defaults
    "gaussian": SsimWindow(11, 1.5, False),  # Wang et al. 2004
    "gaussian, sample covariance": SsimWindow(11, 1.5, True),  # scikit-image with gaussian_weights=True alone
}


@dataclass(frozen=True, eq=False)
class ImageSimilarity:
    """Scores of one batch, ``(n,)`` each; ``identical`` marks pairs whose PSNR is the cap because they are equal."""

    psnr: Float
    ssim: Float
    ssim_global: Float
    identical: NDArray[np.bool_]


def image_similarity(predicted: Images, truth: Images) -> ImageSimilarity:
    """PSNR, windowed and global SSIM with the standard settings, for uint8 batches."""
    error = mean_squared_error(predicted, truth)
    return ImageSimilarity(decibels(error, 255.0), ssim(predicted, truth), ssim_global(predicted, truth), error == 0)


def mean_squared_error(predicted: Images, truth: Images) -> Float:
    """Over pixels and channels, in squared levels, ``(n,)``; exact for uint8."""
    check_pair(predicted, truth)
    if truth.dtype == np.uint8:
        import cv2

        return np.array([cv2.norm(p, t, cv2.NORM_L2SQR) / t.size for p, t in zip(predicted, truth, strict=True)])
    error = np.empty(len(truth))
    for rows in chunks(truth):
        difference = np.subtract(predicted[rows], truth[rows], dtype=np.float64)
        error[rows] = (difference * difference).mean(axis=(1, 2, 3))
    return error


def psnr(predicted: Images, truth: Images, *, data_range: DataRange = None) -> Float:
    """Peak signal-to-noise ratio, ``10 log10(data_range² / MSE)`` in dB, at most :data:`PSNR_CAP_DB`, ``(n,)``.

    ``"image maximum"`` is PAST's printed MAX, the largest value of each true image; a black one is refused.
    """
    error = mean_squared_error(predicted, truth)
    if data_range != "image maximum":
        return decibels(error, data_range_of(truth, data_range))
    peak = truth.max(axis=(1, 2, 3)).astype(np.float64)
    if (peak <= 0).any():
        raise wrong("a black image", "a positive maximum in every true image", "use the data range of the type")
    return decibels(error, peak)


def ssim(predicted: Images, truth: Images, *, window: str = "uniform", data_range: float | None = None) -> Float:
    """Mean structural similarity over all whole windows and the three channels, ``(n,)``.

    ``window`` is a name of :data:`SSIM_WINDOWS`. Equal to ``skimage.metrics.structural_similarity``.
    """
    check_pair(predicted, truth)
    chosen, span = window_of(window, truth.shape), data_range_of(truth, data_range)
    value = np.empty(len(truth))
    for rows in chunks(truth):
        x, y = exact(predicted[rows], chosen), exact(truth[rows], chosen)
        sum_x, sum_y, squares, product = (window_sums(image, chosen) for image in (x, y, x * x + y * y, x * y))
        value[rows] = ssim_from_sums(sum_x, sum_y, squares, product, chosen, span)
    return value


def ssim_global(predicted: Images, truth: Images, *, data_range: float | None = None) -> Float:
    """SSIM with the whole image as its only window, mean over channels, ``(n,)``: the formula that PAST prints.

    Variances over n, as PAST does not say otherwise; C1 and C2 ("small constants" there) as in the standard.
    """
    check_pair(predicted, truth)
    span = data_range_of(truth, data_range)
    c1, c2 = (K1 * span) ** 2, (K2 * span) ** 2
    value = np.empty(len(truth))
    for rows in chunks(truth):
        x, y = (_by_channel(images[rows]) for images in (predicted, truth))
        mean_x, mean_y = x.mean(axis=2), y.mean(axis=2)
        x, y = x - mean_x[..., None], y - mean_y[..., None]
        var_x, var_y, together = (np.einsum("ijk,ijk->ij", a, b) / x.shape[2] for a, b in ((x, x), (y, y), (x, y)))
        local = (2 * mean_x * mean_y + c1) * (2 * together + c2)
        local /= (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
        value[rows] = local.mean(axis=1)
    return value


def ssim_from_sums(x: Any, y: Any, squares: Any, product: Any, window: SsimWindow, span: float) -> Float:
    """SSIM per image from sums over windows (weights of a Gaussian add up to 1, those of a square to its area)."""
    n = window.side**2 if window.sigma is None else 1
    c1, c2 = (K1 * span * n) ** 2, (K2 * span * n) ** 2 / window.covariance_factor
    means, squared_means = x * y, x * x + y * y  # exact integers for uint8: at most 2 · 49 · 49 · 255² < 2³¹
    local = 2.0 * means + c1
    local *= 2.0 * (n * product - means) + c2
    local /= squared_means + c1
    local /= (n * squares - squared_means) + c2
    value: Float = local.mean(axis=(1, 2, 3))
    return value


def window_sums(images: Any, window: SsimWindow) -> Any:
    """Sums over every whole window, ``(n, h - side + 1, w - side + 1, 3)``.

    Images are filtered as one tall image; rows in which two of them meet are left out.
    """
    import cv2

    n, h, w, channels = images.shape
    tall = images.reshape(n * h, w, channels)
    if window.sigma is None:
        kind = (window.side, window.side)
        sums = cv2.boxFilter(tall, -1, kind, normalize=False, borderType=cv2.BORDER_REFLECT)
    else:
        offset = np.arange(window.side) - window.side // 2
        weight = np.exp(-0.5 * (offset / window.sigma) ** 2)
        weight /= weight.sum()
        sums = cv2.sepFilter2D(tall, -1, weight, weight, borderType=cv2.BORDER_REFLECT)
    edge = window.side // 2
    return sums.reshape(n, h, w, channels)[:, edge : h - edge, edge : w - edge]


def decibels(error: Float, peak: float | Float) -> Float:
    power = np.square(peak)
    value: Float = PSNR_CAP_DB - 10 * np.log10(np.maximum(error / power * 10 ** (PSNR_CAP_DB / 10), 1.0))
    return value


def exact(images: Images, window: SsimWindow) -> Images:
    """Integers where sums over windows stay exact, float64 elsewhere."""
    return images.astype(np.int32 if images.dtype == np.uint8 and window.sigma is None else np.float64)


def chunks(images: Images) -> Iterator[slice]:
    step = max(1, _AT_ONCE // max(1, int(np.prod(images.shape[1:]))))
    for start in range(0, len(images), step):
        yield slice(start, min(start + step, len(images)))


def window_of(name: str, shape: tuple[int, ...]) -> SsimWindow:
    window = look_up(name, SSIM_WINDOWS, kind="window of SSIM", where="the similarity of images")
    if min(shape[1:3]) < window.side:
        raise wrong(f"images {shape}", f"at least {window.side} px a side", "use larger tiles or ssim_global")
    return window


def _by_channel(images: Images) -> Float:
    """Float64 ``(n, 3, pixels)``, contiguous."""
    return np.ascontiguousarray(np.moveaxis(images, 3, 1), dtype=np.float64).reshape(len(images), 3, -1)


def data_range_of(images: Images, given: float | None) -> float:
    if given is not None and given > 0:
        return float(given)
    if given is None and images.dtype == np.uint8:
        return 255.0
    raise wrong(f"data range {given} of {images.dtype} images", "a positive number", "give data_range")


def check_pair(predicted: Images, truth: Images) -> None:
    if predicted.shape != truth.shape or truth.ndim != 4 or truth.shape[3] != 3 or 0 in truth.shape:
        raise wrong(
            f"predicted {predicted.shape}, true {truth.shape}", "two batches (n, h, w, 3) alike", "stack RGB images"
        )
    if predicted.dtype != truth.dtype or not (truth.dtype == np.uint8 or np.issubdtype(truth.dtype, np.floating)):
        raise wrong(f"{predicted.dtype} and {truth.dtype}", "both uint8 or both floating", "convert the images")
    if truth.dtype != np.uint8 and not (np.isfinite(predicted).all() and np.isfinite(truth).all()):
        raise wrong("a pixel is NaN or infinite", "finite pixels", "check the model's output")


def wrong(what: str, expected: str, remedy: str) -> UserError:
    return UserError(what, where="the similarity of images", expected=expected, remedy=remedy)
