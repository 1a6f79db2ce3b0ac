"""Speed of batched image scores against one call of scikit-image per image, as ratios measured in one run."""

from __future__ import annotations

from collections.abc import Callable
from time import process_time

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from scipy.ndimage import gaussian_filter
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from protocols.metrics.image_shifts import ssim_shift_tolerant
from protocols.metrics.image_similarity import psnr, ssim
from protocols.seeds import generator

GAUSSIAN = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}


def batch(n: int, pixels: int) -> tuple[np.ndarray, np.ndarray]:
    noise = generator(0, "images", n, pixels).normal(128, 300, (n, pixels, pixels, 3))
    truth = np.clip(gaussian_filter(noise, (0, 3, 3, 0)), 0, 255).astype(np.uint8)
    error = generator(0, "error", n, pixels).normal(0, 20, truth.shape)
    return np.clip(truth + error, 0, 255).astype(np.uint8), truth


def seconds(work: Callable[[], object], rounds: int = 3) -> float:
    """Fewest processor seconds: a busy machine must not decide the ratio."""

    def once() -> float:
        start = process_time()
        work()
        return process_time() - start

    return min(once() for _ in range(rounds))


@pytest.mark.parametrize(("n", "pixels"), [(64, 64), (8, 256)])
def test_batched_against_one_call_per_image(benchmark: BenchmarkFixture, n: int, pixels: int) -> None:
    a, b = batch(n, pixels)

    def per_image(**options: object) -> np.ndarray:
        return np.array([structural_similarity(x, y, channel_axis=2, **options) for x, y in zip(a, b, strict=True)])

    np.testing.assert_allclose(ssim(a, b), per_image(), atol=1e-9)
    np.testing.assert_allclose(ssim(a, b, window="gaussian"), per_image(**GAUSSIAN), atol=1e-9)
    benchmark.pedantic(ssim, (a, b), rounds=3)
    ratio = {
        "ssim": seconds(per_image) / seconds(lambda: ssim(a, b)),
        "ssim_gaussian": seconds(lambda: per_image(**GAUSSIAN)) / seconds(lambda: ssim(a, b, window="gaussian")),
        "psnr": seconds(lambda: [peak_signal_noise_ratio(y, x) for x, y in zip(a, b, strict=True)], 20)
        / seconds(lambda: psnr(a, b), 20),
    }
    benchmark.extra_info |= {f"{name}_times_faster": value for name, value in ratio.items()}
    assert ratio["ssim"] >= 3
    assert ratio["ssim_gaussian"] >= 1.5
    assert ratio["psnr"] >= 3


def test_all_shifts_cost_less_than_as_many_scores(benchmark: BenchmarkFixture) -> None:
    a, b = batch(2, 128)
    benchmark.pedantic(ssim_shift_tolerant, (a, b, 2), rounds=3)
    ratio = 25 * seconds(lambda: ssim(a, b)) / seconds(lambda: ssim_shift_tolerant(a, b, 2))
    benchmark.extra_info["times_faster_than_25_scores"] = ratio
    assert ratio > 0.9
