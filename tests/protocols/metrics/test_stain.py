"""Colour deconvolution: by hand, against a linear solve, and the scale on which the published thresholds hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.color import rgb2hed

from protocols.errors import UserError
from protocols.metrics.h_score import THRESHOLDS, classify
from protocols.metrics.stain import (
    H_DAB,
    H_EOSIN,
    StainPair,
    calibrate,
    dab_od,
    estimated_white,
    haematoxylin_od,
    optical_density,
    stain_densities,
)
from protocols.seeds import generator

SHORT = settings(max_examples=30, deadline=None)
LEVELS = st.integers(1, 255)
STRONG, WEAK = np.array([[90, 50, 30]], np.uint8), np.array([[200, 170, 140]], np.uint8)


def unit(vector: tuple[float, float, float]) -> np.ndarray:
    return np.array(vector) / np.linalg.norm(vector)


def painted(haematoxylin: np.ndarray, other: np.ndarray, pair: StainPair = H_DAB, white: float = 255.0) -> np.ndarray:
    """Beer-Lambert: uint8 RGB of known amounts of two stains."""
    od = haematoxylin[..., None] * unit(pair.haematoxylin) + other[..., None] * unit(pair.other)
    return np.rint(white * 10**-od).astype(np.uint8)


def test_optical_density_by_hand() -> None:
    rgb = np.array([[255, 128, 0], [26, 1, 254]], np.uint8)
    wanted = -np.log10(np.array([[255, 128, 1], [26, 1, 254]]) / 255)
    np.testing.assert_allclose(optical_density(rgb), wanted, atol=1e-15)


@SHORT
@given(LEVELS, LEVELS, LEVELS)
def test_deconvolution_against_a_linear_solve(r: int, g: int, b: int) -> None:
    rgb = np.array([[r, g, b]], np.uint8)
    first, second = unit(H_DAB.haematoxylin), unit(H_DAB.other)
    residual = np.cross(first, second)
    basis = np.stack([first, second, residual / np.linalg.norm(residual)], axis=1)
    wanted = np.linalg.solve(basis, -np.log10(rgb[0] / 255))
    np.testing.assert_allclose(stain_densities(rgb)[0], wanted, atol=1e-12)
    np.testing.assert_allclose((dab_od(rgb)[0], haematoxylin_od(rgb)[0]), (wanted[1], wanted[0]), atol=1e-12)


@SHORT
@given(st.floats(0, 0.8), st.floats(0, 0.9), st.sampled_from([H_DAB, H_EOSIN]), st.sampled_from([255.0, 238.0]))
def test_painted_stains_come_back(haematoxylin: float, other: float, pair: StainPair, white: float) -> None:
    """To the precision of 8 bits at the darkest channel."""
    rgb = painted(np.array([haematoxylin]), np.array([other]), pair, white)
    found = stain_densities(rgb, pair, white)[0]
    darkest = 255 * 10 ** -(haematoxylin + other)
    np.testing.assert_allclose(found, [haematoxylin, other, 0], atol=0.02 + 0.5 / darkest)


def test_the_scale_trap() -> None:
    """scikit-image's DAB is six times smaller: on it strong brown counts as weak, and pale brown as negative."""
    ours = [float(dab_od(colour)[0]) for colour in (STRONG, WEAK)]
    theirs = [float(rgb2hed(colour)[0, 2]) for colour in (STRONG, WEAK)]
    assert ours == pytest.approx([1.10, 0.32], abs=0.01)
    assert theirs == pytest.approx([0.186, 0.055], abs=0.001)
    assert ours[0] / theirs[0] == pytest.approx(6, abs=0.1)
    assert classify(ours, "ER").tolist() == [3, 2]
    assert classify(theirs, "ER").tolist() == [1, 0]


def test_calibration_brings_another_scale_to_the_thresholds() -> None:
    """What the label tables are for: values on scikit-image's scale, fitted to a reference, classify as they should."""
    amounts = np.linspace(0.02, 1.0, 50)
    rgb = painted(np.full(50, 0.1), amounts)
    small = rgb2hed(rgb)[:, 2]
    fitted = calibrate(small, dab_od(rgb))
    assert fitted.scale == pytest.approx(6, abs=0.15)
    assert fitted.n == 50
    assert fitted.residual_rms < 0.02
    assert fitted.r_squared > 0.999
    bound = THRESHOLDS["ER"].strong
    clear = np.abs(amounts - bound) > 0.04
    assert (classify(small * fitted.scale, "ER")[clear] == 3).tolist() == (amounts > bound)[clear].tolist()
    np.testing.assert_allclose(dab_od(rgb, scale=2.0), 2 * dab_od(rgb))


def test_calibration_by_hand() -> None:
    fitted = calibrate([1.0, 2.0], [2.0, 5.0])
    assert fitted.scale == pytest.approx(12 / 5)
    assert fitted.residual_rms == pytest.approx(np.sqrt((0.4**2 + 0.2**2) / 2))
    assert fitted.r_squared == pytest.approx(1 - 0.2 / 29)


@SHORT
@given(st.integers(0, 2**32 - 1), st.floats(0.1, 10))
def test_calibration_recovers_a_factor(seed: int, factor: float) -> None:
    od = generator(seed, "od").uniform(0.01, 1, 20)
    assert calibrate(od, factor * od).scale == pytest.approx(factor)
    assert calibrate(od, factor * od).r_squared == pytest.approx(1)


def test_white_level_matters() -> None:
    """Grey glass read against 255 is stain that is not there."""
    glass = np.full((4, 4, 3), 238, np.uint8)
    assert np.abs(optical_density(glass)).min() == pytest.approx(np.log10(255 / 238))
    white = estimated_white(glass)
    assert white == (238, 238, 238)
    assert not optical_density(glass, white).any()


@pytest.mark.parametrize(
    "rgb",
    [
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.uint16),
        np.zeros((4, 4, 3)),
        np.zeros((4, 4), np.uint8),
        np.zeros((0, 3), np.uint8),
    ],
)
def test_wrong_images_get_one_line(rgb: np.ndarray) -> None:
    with pytest.raises(UserError, match=r"expected uint8 RGB"):
        dab_od(rgb)


def test_wrong_settings_get_one_line() -> None:
    with pytest.raises(UserError, match="white level"):
        dab_od(STRONG, white=0)
    with pytest.raises(UserError, match="one colour"):
        StainPair((1, 1, 1), (2, 2, 2)).unmixing()
    with pytest.raises(UserError, match="two values at least"):
        calibrate([1.0], [1.0])
    with pytest.raises(UserError, match="positive slope"):
        calibrate([1.0, 2.0], [-1.0, 0.0])
    with pytest.raises(UserError, match="NaN"):
        calibrate([1.0, np.nan], [1.0, 2.0])
