"""Seams: hand-computed cases, a plain double loop, planted seams, invisible ones, blending and what is undefined."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from protocols.errors import UserError
from protocols.metrics.seams import cells, pooled_units, seam_score, seam_units, seams
from protocols.seeds import generator

BORDERS = (32, 64, 96)


def texture(seed: int = 0, height: int = 128, width: int = 128) -> np.ndarray:
    return generator(seed, "texture").normal(128, 10, (height, width, 3))


def planted(image: np.ndarray, step: float) -> np.ndarray:
    """Windows of 32 px, every other one brighter."""
    y, x = np.indices(image.shape[:2]) // 32
    return image + step * ((x + y) % 2)[..., None]


def plain(image: np.ndarray, x: tuple[int, ...], y: tuple[int, ...]) -> tuple[float, float]:
    """Mean gradient on borders and elsewhere, one pixel pair at a time."""
    border, other = [], []
    height, width = image.shape[:2]
    for row in range(height):
        for column in range(width):
            if column and x:
                (border if column in x else other).append(np.abs(image[row, column] - image[row, column - 1]).mean())
            if row and y:
                (border if row in y else other).append(np.abs(image[row, column] - image[row - 1, column]).mean())
    return float(np.mean(border)), float(np.mean(other))


def test_by_hand():
    row = np.array([[0.0, 1.0, 2.0, 7.0, 8.0, 9.0]])
    score = seams(np.repeat(row, 4, axis=0), [3], [])
    assert (score.border, score.elsewhere, score.ratio) == (5.0, 1.0, 5.0)
    assert (score.units, score.standard_error) == (1, None)


def test_cells():
    assert cells([10, 20, 25], 40) == [(0, 15), (15, 23), (23, 40)]
    assert cells([], 40) == [(0, 40)]


@settings(max_examples=20, deadline=None)
@given(
    st.integers(0, 1000),
    st.sets(st.integers(1, 10), max_size=4),
    st.sets(st.integers(1, 7), max_size=4),
)
def test_agrees_with_a_plain_loop(seed, x, y):
    x, y = tuple(sorted(x)), tuple(sorted(y))
    image = generator(seed, "image").integers(0, 256, (8, 11, 3)).astype(np.float64)
    units = seam_units(image, x, y)
    # A border whose cell holds no other line has nothing to be compared with, and is left out.
    assume(len(units) and len(units) == len(x) * max(len(y), 1) + len(y) * max(len(x), 1))
    score = seam_score(units)
    assert (score.border, score.elsewhere) == pytest.approx(plain(image, x, y), rel=1e-6)


def test_planted_seams_are_detected_and_grow_with_the_step():
    scores = [seams(planted(texture(), step), BORDERS, BORDERS) for step in (0, 10, 30)]
    assert abs(scores[0].ratio - 1) < 3 * scores[0].standard_error
    assert scores[1].ratio > 1 + 10 * scores[1].standard_error
    assert scores[2].ratio > scores[1].ratio


def test_one_planted_seam_among_many_is_seen_by_its_own_direction():
    image = texture()
    image[:, 64:] += 40
    assert seams(image, BORDERS, ()).ratio > 1.5
    assert seams(image, (), BORDERS).ratio < 1.05


def test_a_smooth_picture_has_none():
    y, x = np.mgrid[:128, :128]
    score = seams(np.sin(x / 40) * np.cos(y / 50) * 100 + x, BORDERS, BORDERS)
    assert abs(score.ratio - 1) < 0.05


def test_the_standard_error_is_that_of_repeated_pictures():
    scores = [seams(texture(seed), BORDERS, BORDERS) for seed in range(60)]
    spread = np.std([score.ratio for score in scores], ddof=1)
    assert np.mean([score.standard_error for score in scores]) == pytest.approx(spread, rel=0.3)


def test_scale_and_direction_do_not_matter():
    image = planted(texture(), 8)
    score = seams(image, BORDERS, (40,))
    assert seams(3 * image + 5, BORDERS, (40,)).ratio == pytest.approx(score.ratio, rel=1e-5)
    assert seams(image.swapaxes(0, 1), (40,), BORDERS).ratio == pytest.approx(score.ratio, rel=1e-9)
    mirrored = [128 - border for border in reversed(BORDERS)]
    assert seams(image[:, ::-1], mirrored, (40,)).ratio == pytest.approx(score.ratio, rel=1e-9)


def test_grey_and_uint8_are_taken():
    image = planted(texture(), 20).clip(0, 255).astype(np.uint8)
    assert seams(image[..., 0], BORDERS, BORDERS).ratio > 1.2
    assert seams(image, BORDERS, ()).border == pytest.approx(plain(image.astype(float), BORDERS, ())[0], rel=1e-6)


def test_only_what_the_mask_holds_counts():
    image = planted(texture(), 40)
    mask = np.zeros((128, 128), dtype=bool)
    mask[:40, :40] = True
    inside = seams(image, BORDERS, BORDERS, mask)
    image[40:, :] = 0
    image[:, 40:] = 0  # a huge step, outside the mask
    assert seams(image, BORDERS, BORDERS, mask) == inside
    assert inside.units == 2
    with pytest.raises(UserError, match="no border"):
        seams(image, BORDERS, BORDERS, np.zeros((128, 128), dtype=bool))


def test_seams_of_jpeg_do_not_count_where_the_period_is_said():
    """Blocks of 8 px have seams of their own; the windows add none, or, with a step of 60, some."""
    blocks = texture() + 40 * ((np.arange(128) // 8) % 2)[None, :, None]
    assert seams(blocks, BORDERS, ()).ratio > 2
    score = seams(blocks, BORDERS, (), period=8)
    assert abs(score.ratio - 1) < 4 * score.standard_error
    blocks[:, 64:] -= 60
    assert seams(blocks, BORDERS, (), period=8).ratio > 1.3


def test_bands_pool_to_the_whole():
    image = planted(texture(), 5)
    whole = seams(image, BORDERS, BORDERS)
    parts = []
    for at, (top, bottom) in enumerate(cells(BORDERS, 128)):
        above = min(top, 1)
        parts.append(seam_units(image[top - above : bottom], BORDERS, [BORDERS[at] - top + above]))
    score = seam_score(pooled_units(parts))
    assert score.units == whole.units == 18
    assert score.ratio == pytest.approx(whole.ratio, rel=0.01)


def test_what_is_undefined():
    flat = np.full((64, 64), 7.0)
    nothing = seams(flat, [32], [32])
    assert (nothing.ratio, nothing.standard_error) == (1.0, None)
    flat[:, 32:] = 9.0
    steps = seams(flat, [32], [])
    assert (steps.border, steps.elsewhere, steps.ratio) == (2.0, 0.0, None)


@pytest.mark.parametrize("x", [[0], [64], [10, 10], [20, 10]])
def test_impossible_borders(x):
    with pytest.raises(UserError, match="rising positions"):
        seams(np.zeros((64, 64)), x, [])


def test_no_border_at_all():
    with pytest.raises(UserError, match="no border"):
        seams(np.zeros((64, 64)), [], [])
