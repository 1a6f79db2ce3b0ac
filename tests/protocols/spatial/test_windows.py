"""Windows by hand, what they cover, and that their average is the one a plain loop makes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.errors import UserError
from protocols.seeds import generator
from protocols.spatial.windows import MapOfWindows, Windows, lay_windows


def grid(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    row, column = np.indices((height, width)).reshape(2, -1)
    return row.astype(np.int64), column.astype(np.int64)


def blob(seed: int, height: int, width: int, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Tissue with holes; at least one tile."""
    there = generator(seed, "blob").random((height, width)) < share
    there[0, 0] = True
    row, column = np.nonzero(there)
    return row.astype(np.int64), column.astype(np.int64)


def origins(windows: Windows, row: np.ndarray, column: np.ndarray) -> list[tuple[int, int]]:
    """The upper left place of each window, out of its first tile."""
    found = []
    for tiles in windows.tile:
        place = int(np.argmax(tiles >= 0))
        tile = tiles[place]
        found.append((int(row[tile]) - place // windows.side, int(column[tile]) - place % windows.side))
    return found


def brute_force(
    row: np.ndarray, column: np.ndarray, side: int, stride: int, extent: tuple[int, int]
) -> dict[tuple[int, int], set[int]]:
    """Origin -> tiles, for every origin on the stride below ``extent`` whose window is more than half tissue."""
    found = {}
    for top in range(0, extent[0], stride):
        for left in range(0, extent[1], stride):
            inside = (row >= top) & (row < top + side) & (column >= left) & (column < left + side)
            if inside.sum() > side * side / 2:
                found[top, left] = set(np.flatnonzero(inside).tolist())
    return found


def test_windows_of_a_small_section_by_hand() -> None:
    row, column = grid(2, 3)
    windows = lay_windows(row, column, 2)
    assert windows.tile.tolist() == [[0, 1, 3, 4], [1, 2, 4, 5]]
    assert windows.covered.all()
    assert lay_windows(row, column, 2, stride=2).tile.tolist() == [[0, 1, 3, 4]]
    assert lay_windows(row, column, 2, stride=2).covered.tolist() == [True, True, False, True, True, False]


def test_a_window_needs_more_than_half_of_its_places() -> None:
    row, column = np.array([0, 0, 1]), np.array([0, 1, 0])
    assert lay_windows(row, column, 2).tile.tolist() == [[0, 1, 2, -1]]
    assert len(lay_windows(row[:2], column[:2], 2)) == 0, "exactly half is not enough"
    assert not lay_windows(row[:2], column[:2], 2).covered.any()


def test_a_section_smaller_than_a_window_is_one_window_of_its_tiles() -> None:
    row, column = grid(3, 3)
    windows = lay_windows(row, column, 4)
    assert len(windows) == 1
    assert (windows.tile[0] >= 0).sum() == 9
    assert len(lay_windows(*grid(2, 4), 4)) == 0


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 9999), st.integers(1, 9), st.integers(1, 9), st.integers(1, 4), st.integers(1, 3))
def test_equal_to_a_plain_search(seed: int, height: int, width: int, side: int, stride: int) -> None:
    row, column = blob(seed, height, width, 0.8)
    h, w = int(row.max()) + 1, int(column.max()) + 1
    windows = lay_windows(row, column, side, stride)
    expected = brute_force(row, column, side, stride, (max(h - side, 0) + 1, max(w - side, 0) + 1))
    assert origins(windows, row, column) == sorted(expected)
    for origin, tiles in zip(origins(windows, row, column), windows.tile, strict=True):
        assert set(tiles[tiles >= 0].tolist()) == expected[origin]
    assert set(np.flatnonzero(windows.covered)) == set().union(*expected.values())
    rows = np.arange(len(windows))[::-1]
    np.testing.assert_array_equal(windows.listed(rows), windows.tile[rows])


def test_released_windows_by_hand() -> None:
    """Without its corner: the tiles that are there, column by column, and the absent place at the end."""
    row, column = np.array([0, 0, 1, 1, 1, 2, 2, 2]), np.array([1, 2, 0, 1, 2, 0, 1, 2])
    windows = lay_windows(row, column, 2, rule="released")
    assert windows.listed(np.arange(4)).tolist() == [[2, 0, 3, -1], [0, 3, 1, 4], [2, 5, 3, 6], [3, 6, 4, 7]]
    assert windows.tile[0].tolist() == [-1, 0, 2, 3], "for the map every answer stays at its place"
    row, column = grid(6, 6)
    plain, hanging = lay_windows(row, column, 4), lay_windows(row, column, 4, rule="released")
    assert (len(plain), bool(plain.covered.all())) == (9, True)
    # Origin (3, c) holds 3 x 4 = 12 of 16 places, (3, 3) 9, (4, c) 8, which is not more than half.
    assert set(origins(hanging, row, column)) == {(r, c) for r in range(4) for c in range(4)}


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 9999), st.integers(2, 9), st.integers(2, 9), st.integers(2, 4), st.integers(0, 5), st.integers(0, 5)
)
def test_released_windows_are_those_of_a_plain_loop_and_cover_the_same_tiles(
    seed: int, height: int, width: int, side: int, down: int, across: int
) -> None:
    """Wherever the tissue starts: the release counts from there and leaves out the last row and column as origins."""
    row, column = blob(seed, height, width, 0.8)
    row, column = row + down, column + across
    windows = lay_windows(row, column, side, rule="released")
    at = {(r, c): tile for tile, (r, c) in enumerate(zip(row.tolist(), column.tolist(), strict=True))}
    expected = []
    for top in range(row.min(), row.max()):
        for left in range(column.min(), column.max()):
            places = [(top + r, left + c) for c in range(side) for r in range(side)]
            there = [at[place] for place in places if place in at]
            if len(there) > side * side / 2:
                expected.append(there + [-1] * (side * side - len(there)))
    assert windows.listed(np.arange(len(windows))).tolist() == expected
    assert (lay_windows(row, column, side).covered == windows.covered).all()


@pytest.mark.parametrize(("side", "stride"), [(1, 1), (4, 2)])
def test_released_windows_that_would_leave_tiles_out_are_one_line(side: int, stride: int) -> None:
    with pytest.raises(UserError, match="at least 2 x 2, moved by 1"):
        lay_windows(*grid(6, 6), side, stride, rule="released")


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 9999), st.integers(1, 4), st.integers(1, 50))
def test_the_average_is_that_of_a_plain_loop_in_any_batches(seed: int, side: int, batch: int) -> None:
    row, column = blob(seed, 8, 7, 0.85)
    windows, genes = lay_windows(row, column, side), 3
    answers = generator(seed, "answers").normal(size=(len(windows), genes)).astype(np.float32)
    made = MapOfWindows(windows, genes)
    for start in range(0, len(windows), batch):
        rows = np.arange(start, min(start + batch, len(windows)))
        made.add(rows, answers[rows])
    values = made.values()
    for tile in range(len(row)):
        over = answers[(windows.tile == tile).any(axis=1)].astype(np.float64)
        if len(over):
            np.testing.assert_allclose(values[tile], over.mean(axis=0), atol=1e-12)
        else:
            assert np.isnan(values[tile]).all()
    assert (np.isfinite(values).all(axis=1) == windows.covered).all()


def test_windows_of_one_tile_give_back_every_answer() -> None:
    row, column = grid(3, 4)
    windows = lay_windows(row, column, 1)
    answers = np.arange(24, dtype=np.float32).reshape(12, 2)
    made = MapOfWindows(windows, 2)
    made.add(np.arange(12), answers)
    np.testing.assert_array_equal(made.values(), answers)


def test_one_value_everywhere_stays_one_value() -> None:
    """So that a constant model is told apart from one that nearly is."""
    windows = lay_windows(*blob(1, 20, 20, 0.9), 4)
    made = MapOfWindows(windows, 1)
    made.add(np.arange(len(windows)), np.full((len(windows), 1), 7.1234567, np.float32))
    values = made.values()[windows.covered]
    assert np.ptp(values) == 0
    assert values[0, 0] == pytest.approx(7.1234567, abs=1e-6)
