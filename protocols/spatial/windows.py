"""Windows of neighbouring tiles over a section, and the map that their answers make.

SEQUOIA (Methods, spatial visualization): a window of 10 x 10 tiles moves by one tile; its answer is saved for each of
its tiles, and a tile's value is the mean over the windows that cover it. As released, a window counts only if more
than half of its places hold tissue.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from protocols.contract import FloatArray
from protocols.errors import UserError

TISSUE_SHARE = 0.5
"""A window runs only if more than this share of its places holds tissue (released code: > 50 of 100)."""

WindowRule = Literal["paper", "released"]
"""``paper``: windows end where the slide does, and a model is handed a window's places, row by row, some absent.
``released``: windows start at the first row and column with tissue and run to the last but one, so that they hang over
the right and the lower edge; a model is handed the tiles that are there, column by column from the left, and absent
places at the end."""


@dataclass(frozen=True, eq=False)
class Windows:
    """``tile`` int64 ``(windows, side * side)``: the tile at each place, row by row, or -1 where there is no tissue."""

    tile: NDArray[np.int64]
    side: int
    n_tiles: int
    rule: WindowRule = "paper"

    def __len__(self) -> int:
        return len(self.tile)

    @property
    def covered(self) -> NDArray[np.bool_]:
        """Tiles that at least one window covers, ``(tiles,)``; the others have no value."""
        found = np.zeros(self.n_tiles, dtype=bool)
        found[self.tile[self.tile >= 0]] = True
        return found

    def listed(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Tiles of some windows in the order in which a model is handed them, -1 for absent ones."""
        tile = self.tile[rows]
        if self.rule == "paper":
            return tile
        by_column = tile.reshape(-1, self.side, self.side).transpose(0, 2, 1).reshape(tile.shape)
        order = np.argsort(by_column < 0, axis=1, kind="stable")
        return np.take_along_axis(by_column, order, axis=1)


def lay_windows(
    row: NDArray[np.int64], column: NDArray[np.int64], side: int, stride: int = 1, *, rule: WindowRule = "paper"
) -> Windows:
    """All windows over tiles at ``(row, column)`` that are mostly tissue.

    Both rules cover the same tiles: moved back inside, a window that hangs over holds all that it held, and more.
    Raises :class:`UserError` where that does not hold: released windows of one tile, or moved by more than one.
    """
    released = rule == "released"
    if released and (side < 2 or stride != 1):
        raise UserError(
            f"windows of {side} x {side} tiles moved by {stride}, as released", where="sections",
            expected="at least 2 x 2, moved by 1", remedy="set window and stride so, or leave the model out",
        )  # fmt: skip
    height, width = int(row.max()) + 1, int(column.max()) + 1
    extra = side if released else 0
    grid = np.full((max(height, side) + extra, max(width, side) + extra), -1, dtype=np.int64)
    grid[row, column] = np.arange(len(row))
    if released:
        tops, lefts = np.arange(row.min(), row.max()), np.arange(column.min(), column.max())
    else:
        tops, lefts = (np.arange(0, max(extent - side, 0) + 1, stride) for extent in (height, width))
    inside = np.arange(side)
    rows = tops[:, None, None, None] + inside[:, None]
    columns = lefts[None, :, None, None] + inside
    tile = grid[rows, columns].reshape(-1, side * side)
    return Windows(tile[(tile >= 0).mean(axis=1) > TISSUE_SHARE], side, len(row), rule)


class MapOfWindows:
    """Averages windows' answers onto tiles, a batch at a time: memory is tiles x genes, however many the windows."""

    def __init__(self, windows: Windows, n_genes: int) -> None:
        self._windows = windows
        self._total = np.zeros((windows.n_tiles, n_genes))
        self._times = np.zeros(windows.n_tiles)

    def add(self, rows: NDArray[np.int64], answers: FloatArray) -> None:
        """``answers`` ``(len(rows), genes)`` of the windows ``rows``."""
        for place in range(self._windows.tile.shape[1]):
            tile = self._windows.tile[rows, place]
            there = tile >= 0
            # Within one place no tile repeats, so plain indexing adds each answer once.
            self._total[tile[there]] += answers[there]
            self._times[tile[there]] += 1

    def values(self) -> NDArray[np.float64]:
        """``(tiles, genes)``; NaN where no window was."""
        times = np.where(self._times > 0, self._times, np.nan)
        return np.asarray(self._total / times[:, None])
