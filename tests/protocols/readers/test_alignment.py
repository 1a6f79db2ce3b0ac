from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.errors import UserError
from protocols.readers import alignment

from .bundles import rotation


def test_affine_is_inverted_as_by_hand(tmp_path):
    # H&E (10, 20) → DAPI: 2·10 + 5 = 25, 2·20 − 7 = 33; so DAPI (25, 33) → H&E (10, 20).
    path = tmp_path / "a.csv"
    path.write_text("2,0,5\n0,2,-7\n0,0,1\n")
    to_image = alignment.invert_affine(alignment.read_alignment_csv(path))
    assert alignment.apply(to_image, np.array([[25.0, 33.0]])).tolist() == [[10.0, 20.0]]


def test_affine_scale_ignores_rotation_and_shift():
    assert alignment.affine_scale(rotation(73, 1.7, (4, 5))) == pytest.approx(1.7)


@pytest.mark.parametrize("text", ["1,2,3\n2,4,6\n0,0,1\n", "0,0,3\n0,0,6\n0,0,1\n"])
def test_singular_alignment_is_refused(tmp_path, text):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(UserError, match="singular"):
        alignment.invert_affine(alignment.read_alignment_csv(tmp_path / "a.csv"))


def test_a_tiny_but_regular_scale_is_not_singular():
    alignment.invert_affine(np.diag([1e-4, 1e-4, 1.0]))


@pytest.mark.parametrize("text", ["1,0\n0,1\n", "1,0,0\n0,1,0\n0,0.1,1\n", "1,0,nan\n0,1,0\n0,0,1\n", "a,b,c\n"])
def test_a_file_that_is_no_alignment_is_refused(tmp_path, text):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(UserError, match=r"a\.csv"):
        alignment.read_alignment_csv(tmp_path / "a.csv")


points = st.lists(
    st.tuples(st.integers(-1000, 1000), st.integers(-1000, 1000)), min_size=3, max_size=12, unique=True
).map(lambda pairs: np.array(pairs, np.float64))


@settings(max_examples=60, deadline=None)
@given(points, st.floats(-180, 180), st.floats(0.1, 10), st.floats(-500, 500), st.booleans())
def test_kabsch_recovers_any_rotation_shift_and_scale(source, degrees, scale, shift, similarity):
    truth = rotation(degrees, scale if similarity else 1.0, (shift, -2 * shift))
    fit = alignment.kabsch(source, alignment.apply(truth, source), similarity)
    np.testing.assert_allclose(fit.matrix, truth, atol=1e-6)
    assert fit.rms < 1e-6


@settings(max_examples=30, deadline=None)
@given(points, st.integers(0, 2**32 - 1))
def test_kabsch_is_a_minimum_and_a_proper_rotation(source, seed):
    rng = np.random.default_rng(seed)
    target = source * [-1, 1] + rng.normal(0, 5, source.shape)  # a mirror image tempts it to reflect
    fit = alignment.kabsch(source, target, False)
    assert np.linalg.det(fit.matrix[:2, :2]) == pytest.approx(1.0)
    for angle in (-0.01, 0.01):
        turn = rotation(np.rad2deg(angle), 1.0, (0, 0))[:2, :2] @ fit.matrix[:2, :2]
        other = np.eye(3)
        other[:2, :2], other[:2, 2] = turn, target.mean(axis=0) - turn @ source.mean(axis=0)
        assert alignment.rms(other, source, target) >= fit.rms - 1e-9


def test_rms_by_hand():
    # Distances 3 and 4: sqrt((9 + 16) / 2).
    source = np.zeros((2, 2))
    assert alignment.rms(np.eye(3), source, np.array([[3.0, 0], [0, 4.0]])) == pytest.approx(np.sqrt(12.5))


@pytest.mark.parametrize("source", [np.zeros((3, 2)), np.ones((1, 2))])
def test_key_points_without_extent_are_refused(source):
    with pytest.raises(UserError, match="do not span"):
        alignment.kabsch(source, source, True)


def keypoints(xy_um, xy_px, region):
    frame = pd.DataFrame(np.c_[xy_um, xy_px], columns=["xenium_x_um", "xenium_y_um", "he_x_px", "he_y_px"])
    return frame.assign(region=region)


def two_regions():
    rng = np.random.default_rng(0)
    left, right = rng.uniform(0, 100, (5, 2)), rng.uniform(900, 1000, (5, 2))
    a, b = rotation(10, 2, (5, 5)), rotation(10, 2, (25, 5))
    frame = pd.concat(
        [keypoints(left, alignment.apply(a, left), "left"), keypoints(right, alignment.apply(b, right), "right")]
    )
    return frame, a, b


def test_each_region_rules_at_its_centre_and_the_middle_lies_between():
    frame, a, b = two_regions()
    fits = alignment.fit_regions(frame, None, where="test")
    left, right = fits[0].centre[None], fits[1].centre[None]
    np.testing.assert_allclose(alignment.combine_regions(fits, left), alignment.apply(a, left), atol=1e-5)
    np.testing.assert_allclose(alignment.combine_regions(fits, right), alignment.apply(b, right), atol=1e-5)
    middle = (left + right) / 2
    expected = (alignment.apply(a, middle) + alignment.apply(b, middle)) / 2
    np.testing.assert_allclose(alignment.combine_regions(fits, middle), expected)
    notes = alignment.describe(fits, frame)
    assert len(notes) == 3
    assert "5 key points" in notes[0]


def test_rigid_regions_keep_the_stated_scale():
    frame, _, _ = two_regions()
    fits = alignment.fit_regions(frame, 0.5, where="test")
    assert [round(alignment.affine_scale(item.fit.matrix), 9) for item in fits] == [2.0, 2.0]
    frame[["he_x_px", "he_y_px"]] *= 1.1  # now the points say another scale: the residual must show it
    assert alignment.fit_regions(frame, 0.5, where="test")[0].fit.rms > 1


def test_mirrored_key_points_are_refused():
    xy = np.random.default_rng(0).uniform(0, 100, (6, 2))
    with pytest.raises(UserError, match="mirrored"):
        alignment.fit_regions(keypoints(xy, xy * [-1, 1], "r"), None, where="test")


def test_noisy_key_points_are_not_called_mirrored():
    rng = np.random.default_rng(0)
    xy = rng.uniform(0, 100, (6, 2))
    assert not alignment.is_mirrored(xy, xy + rng.normal(0, 3, xy.shape))
