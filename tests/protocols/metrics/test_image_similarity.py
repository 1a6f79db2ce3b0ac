"""PSNR and SSIM of batches against scikit-image and by hand; shifts, constants, and means per patient."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from protocols.errors import UserError
from protocols.metrics.image_shifts import psnr_shift_tolerant, ssim_shift_tolerant
from protocols.metrics.image_similarity import (
    PSNR_CAP_DB,
    image_similarity,
    mean_squared_error,
    psnr,
    ssim,
    ssim_global,
)
from protocols.seeds import generator
from tests.cohorts import real_data

SHORT = settings(max_examples=20, deadline=None)
SEEDS = st.integers(0, 2**32 - 1)
SKIMAGE: dict[str, dict[str, Any]] = {
    "uniform": {},
    "gaussian": {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False},
    "gaussian, sample covariance": {"gaussian_weights": True, "sigma": 1.5},
}


def smooth(seed: int, n: int = 3, h: int = 24, w: int = 21) -> np.ndarray:
    """Images with structure, uint8."""
    noise = generator(seed, "smooth").normal(0, 1, (n, h, w, 3))
    return np.clip(128 + 300 * gaussian_filter(noise, (0, 2, 2, 0)), 0, 255).astype(np.uint8)


def pair(seed: int, n: int = 3, h: int = 24, w: int = 21, noise: float = 20) -> tuple[np.ndarray, np.ndarray]:
    truth = smooth(seed, n, h, w)
    error = generator(seed, "error").normal(0, noise, truth.shape)
    return np.clip(truth + error, 0, 255).astype(np.uint8), truth


def as_float(images: np.ndarray) -> np.ndarray:
    return images / 255.0 + 0.001 * np.sin(np.arange(images.size)).reshape(images.shape)


@pytest.mark.parametrize("window", SKIMAGE)
@pytest.mark.parametrize("kind", ["uint8", "float"])
def test_ssim_is_scikit_images(window: str, kind: str) -> None:
    a, b = pair(1)
    span = 255.0
    if kind == "float":
        a, b, span = as_float(a), as_float(b), 1.0
    wanted = [
        structural_similarity(x, y, channel_axis=2, data_range=span, **SKIMAGE[window])
        for x, y in zip(a, b, strict=True)
    ]
    np.testing.assert_allclose(ssim(a, b, window=window, data_range=span), wanted, rtol=0, atol=1e-9)


@pytest.mark.parametrize("span", [255.0, 1.0])
def test_psnr_is_scikit_images(span: float) -> None:
    a, b = pair(2)
    if span == 1:
        a, b = as_float(a), as_float(b)
    wanted = [peak_signal_noise_ratio(y, x, data_range=span) for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(psnr(a, b, data_range=span), wanted, rtol=0, atol=1e-9)


def test_psnr_by_hand() -> None:
    truth = np.full((1, 2, 2, 3), 100, np.uint8)
    predicted = truth.copy()
    predicted[0, 0, 0, 0] = 112  # one of 12 values is 12 levels off: MSE 144 / 12
    assert mean_squared_error(predicted, truth)[0] == 12
    assert psnr(predicted, truth)[0] == pytest.approx(10 * np.log10(65025 / 12))


def test_identical_images_are_capped_and_counted() -> None:
    truth = smooth(3, 2)
    scores = image_similarity(np.stack([truth[0], 255 - truth[1]]), truth)
    assert scores.psnr[0] == PSNR_CAP_DB
    assert scores.psnr[1] < 20
    assert scores.identical.tolist() == [True, False]
    assert scores.ssim[0] == scores.ssim_global[0] == 1
    assert np.isfinite(scores.psnr.mean())


def test_paper_takes_the_images_own_maximum() -> None:
    """A dark image loses 10 log10((255 / max)²) dB by the printed MAX."""
    a, b = pair(4)
    dark_a, dark_b = a // 2, b // 2
    loss = 20 * np.log10(255.0 / dark_b.max(axis=(1, 2, 3)))
    assert (loss > 5).all()
    np.testing.assert_allclose(psnr(dark_a, dark_b, data_range="image maximum"), psnr(dark_a, dark_b) - loss)
    with pytest.raises(UserError, match="a black image"):
        psnr(dark_a, 0 * dark_b, data_range="image maximum")


def test_global_ssim_by_the_printed_formula() -> None:
    a, b = pair(5)
    c1, c2 = 2.55**2, 7.65**2
    for i, value in enumerate(ssim_global(a, b)):
        channels = []
        for c in range(3):
            x, y = a[i, ..., c].astype(float), b[i, ..., c].astype(float)
            together = ((x - x.mean()) * (y - y.mean())).mean()
            above = (2 * x.mean() * y.mean() + c1) * (2 * together + c2)
            channels.append(above / ((x.mean() ** 2 + y.mean() ** 2 + c1) * (x.var() + y.var() + c2)))
        assert value == pytest.approx(np.mean(channels), abs=1e-12)


def test_one_window_forgives_lost_texture() -> None:
    """Coarse patches right, fine texture gone: the printed form sees little of it, the standard one much."""
    coarse = np.repeat(np.repeat(np.array([[40, 200], [200, 40]]), 16, 0), 16, 1)[None, :, :, None]
    texture = generator(0, "texture").normal(0, 12, (1, 32, 32, 3))
    truth = np.clip(coarse + texture, 0, 255).astype(np.uint8)
    blank = np.broadcast_to(coarse, truth.shape).astype(np.uint8)
    assert ssim_global(blank, truth)[0] > 0.97
    assert ssim(blank, truth)[0] < 0.6


@SHORT
@given(SEEDS)
def test_symmetric_bounded_and_independent_of_companions(seed: int) -> None:
    a, b = pair(seed, n=3, h=12, w=15)
    for score in (psnr, ssim, ssim_global):
        together = score(a, b)
        np.testing.assert_allclose(together, score(b, a), atol=1e-12)
        np.testing.assert_array_equal(together[1:2], score(a[1:2], b[1:2]))
    assert (np.abs(ssim(a, b)) <= 1).all()
    np.testing.assert_allclose(psnr(a[:, ::-1], b[:, ::-1]), psnr(a, b))


@SHORT
@given(st.integers(0, 255), st.integers(0, 255))
def test_constant_images(one: int, two: int) -> None:
    """Means alone differ: SSIM is its luminance term, global or not."""
    a, b = (np.full((1, 9, 9, 3), level, np.uint8) for level in (one, two))
    luminance = (2.0 * one * two + 2.55**2) / (one**2 + two**2 + 2.55**2)
    assert ssim(a, b)[0] == pytest.approx(luminance, abs=1e-12)
    assert ssim_global(a, b)[0] == pytest.approx(luminance, abs=1e-12)
    wanted = PSNR_CAP_DB if one == two else 20 * np.log10(255 / abs(one - two))
    assert psnr(a, b)[0] == pytest.approx(wanted)


def test_many_chunks_and_no_side_effect() -> None:
    a, b = pair(6, n=5, h=200, w=200)
    kept = a.copy(), b.copy()
    np.testing.assert_array_equal(ssim(a, b), np.concatenate([ssim(a[i : i + 1], b[i : i + 1]) for i in range(5)]))
    image_similarity(a, b)
    real = as_float(a), as_float(b)
    before = real[0].copy()
    ssim_global(*real, data_range=1)
    np.testing.assert_array_equal(real[0], before)
    np.testing.assert_array_equal(a, kept[0])


@SHORT
@given(SEEDS, st.integers(-3, 3), st.integers(-3, 3), st.booleans())
def test_a_shift_is_found(seed: int, down: int, right: int, real: bool) -> None:
    scene = smooth(seed, 2, 36, 33)
    truth, predicted = scene[:, 5:-5, 5:-5], scene[:, 5 + down : 31 + down, 5 + right : 28 + right]
    span = None
    if real:
        truth, predicted, span = truth / 255.0, predicted / 255.0, 1.0
    for found in (
        psnr_shift_tolerant(predicted, truth, 3, data_range=span),
        ssim_shift_tolerant(predicted, truth, 3, data_range=span),
    ):
        np.testing.assert_array_equal(found.shift, [[down, right]] * 2)
    np.testing.assert_allclose(ssim_shift_tolerant(predicted, truth, 3, data_range=span).value, 1)
    np.testing.assert_array_equal(psnr_shift_tolerant(predicted, truth, 3, data_range=span).value, PSNR_CAP_DB)


@SHORT
@given(SEEDS, st.integers(0, 3), st.booleans())
def test_best_shift_is_the_best_of_a_plain_loop(seed: int, k: int, real: bool) -> None:
    a, b = pair(seed, 2, 17, 16)
    span = 255.0
    if real:
        a, b, span = as_float(a), as_float(b), 1.0
    h, w = 17 - 2 * k, 16 - 2 * k
    centre = b[:, k : k + h, k : k + w]
    windows = [a[:, i : i + h, j : j + w] for i in range(2 * k + 1) for j in range(2 * k + 1)]
    for tolerant, plain in ((psnr_shift_tolerant, psnr), (ssim_shift_tolerant, ssim)):
        found = tolerant(a, b, k, data_range=span)
        wanted = np.max([plain(window, centre, data_range=span) for window in windows], axis=0)
        np.testing.assert_allclose(found.value, wanted, atol=1e-9)
        np.testing.assert_allclose(found.unshifted, plain(a[:, k : k + h, k : k + w], centre, data_range=span))
        assert (found.value >= found.unshifted).all()


def test_tolerance_may_lie_below_the_score_of_the_whole_image() -> None:
    """An error in the middle and a perfect margin: leaving the margin out costs more than shifting brings."""
    truth = np.full((1, 20, 20, 3), 128, np.uint8)
    predicted = truth.copy()
    predicted[:, 8:12, 8:12] = 255
    assert psnr_shift_tolerant(predicted, truth, 3).value[0] < psnr(predicted, truth)[0]


@pytest.mark.parametrize(
    ("predicted", "truth", "says"),
    [
        (np.zeros((1, 8, 8, 4), np.uint8), np.zeros((1, 8, 8, 4), np.uint8), "stack RGB"),
        (np.zeros((1, 8, 8, 3), np.uint8), np.zeros((1, 8, 9, 3), np.uint8), "alike"),
        (np.zeros((0, 8, 8, 3), np.uint8), np.zeros((0, 8, 8, 3), np.uint8), "alike"),
        (np.zeros((1, 8, 8, 3), np.uint16), np.zeros((1, 8, 8, 3), np.uint16), "uint8 or both floating"),
        (np.zeros((1, 8, 8, 3)), np.zeros((1, 8, 8, 3), np.uint8), "uint8 or both floating"),
        (np.full((1, 8, 8, 3), np.nan), np.zeros((1, 8, 8, 3)), "NaN"),
        (np.zeros((1, 8, 8, 3)), np.zeros((1, 8, 8, 3)), "give data_range"),
        (np.zeros((1, 6, 8, 3), np.uint8), np.zeros((1, 6, 8, 3), np.uint8), "at least 7 px"),
    ],
)
def test_wrong_images_get_one_line(predicted: np.ndarray, truth: np.ndarray, says: str) -> None:
    with pytest.raises(UserError, match=says):
        ssim(predicted, truth)


def test_wrong_settings_get_one_line() -> None:
    a, b = pair(0)
    with pytest.raises(UserError, match="did you mean 'gaussian'"):
        ssim(a, b, window="gausian")
    with pytest.raises(UserError, match="take a smaller shift"):
        ssim_shift_tolerant(a, b, 8)


SECTIONS = ("Ki67-7", "proSPC-4", "CD31-3", "Cc10-5")


def lesion(name: str) -> np.ndarray:
    from PIL import Image

    folder = real_data("he_ihc_landmarks") / "lung-lesion_3" / "scale-5pc"
    return np.asarray(Image.open(folder / f"29-041-Izd2-w35-{name}-les3.jpg").convert("RGB"))


def landmarks(name: str) -> np.ndarray:
    """Places in px of the images at 5 %, ``(80, 2)`` as x, y; they were set at 50 %."""
    file = real_data("he_ihc_landmarks") / "lung-lesion_3" / "user-PS_scale-50pc" / f"29-041-Izd2-w35-{name}-les3.csv"
    return np.loadtxt(file, delimiter=",", skiprows=1)[:, 1:] / 10


@pytest.mark.realdata
@pytest.mark.parametrize("stain", SECTIONS)
def test_unregistered_serial_sections_are_not_saved_by_small_shifts(stain: str) -> None:
    """H&E against IHC as scanned, 20 to 70 px apart: a uniform image of the mean colour scores better than the real
    pair, and shifts of up to 8 px bring a tenth of a decibel. Such pairs cannot judge a generator."""
    he, ihc = (lesion(name)[100:612, 200:712][None] for name in ("He", stain))
    mean = np.broadcast_to(ihc.mean(axis=(1, 2)).round().astype(np.uint8), ihc.shape)
    assert 11 < psnr(he, ihc)[0] < 14
    assert 0 < ssim(he, ihc)[0] < 0.12
    assert psnr(mean, ihc)[0] > psnr(he, ihc)[0] + 2
    tolerant = psnr_shift_tolerant(he, ihc, 8)
    assert 0 <= tolerant.value[0] - tolerant.unshifted[0] < 0.3
    alike = ssim_shift_tolerant(he, ihc, 2)
    assert 0 <= alike.value[0] - alike.unshifted[0] < 0.05


@pytest.mark.realdata
@pytest.mark.parametrize("stain", SECTIONS)
def test_landmarks_do_not_save_them_either(stain: str) -> None:
    """An affine map through 80 landmarks leaves 10 to 16 px (root mean square): a torn lesion, other cells, another
    stain."""
    import cv2

    ends = np.c_[landmarks(stain), np.ones(80)]
    onto_he, *_ = np.linalg.lstsq(ends, landmarks("He"), rcond=None)
    left = ends @ onto_he - landmarks("He")
    assert 9 < np.sqrt((left**2).sum(axis=1).mean()) < 17
    he = lesion("He")
    moved = cv2.warpAffine(lesion(stain), onto_he.T, (he.shape[1], he.shape[0]), borderMode=cv2.BORDER_REFLECT)
    he, moved = (image[150:562, 250:662][None] for image in (he, moved))
    assert psnr(moved, he)[0] < 16
    assert ssim(moved, he)[0] < 0.3


@pytest.mark.realdata
def test_a_pale_stain_gives_a_blank_image_the_published_psnr() -> None:
    """Cc10 marks few cells of this lesion: its mean colour alone reaches 24 dB, as a published diffusion model's 24.3
    on another stain. PSNR means nothing without such a control beside it; SSIM is not fooled."""
    ihc = lesion("Cc10-5")[150:562, 250:662][None]
    mean = np.broadcast_to(ihc.mean(axis=(1, 2)).round().astype(np.uint8), ihc.shape)
    assert psnr(mean, ihc)[0] > 24
    assert ssim(mean, ihc)[0] < 0.61
