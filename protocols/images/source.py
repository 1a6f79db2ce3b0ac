"""Where crops come from, as whoever embeds or trains on them sees it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from protocols.contract import CropArray, RowArray

FieldOfView = Literal["whole", "native"]
"""What a frozen encoder sees of a crop or tile: all of it, one field of view for every encoder; or the middle of it at
the resolution that the encoder was pre-trained at (all of it, where that is mixed or unstated)."""


class CropSource(Protocol):
    """Where crops come from: the slides' images, or arrays in a test. ``rows`` number the whole cohort."""

    @property
    def pixels(self) -> int: ...

    def read(self, rows: RowArray) -> CropArray: ...

    def batches(self, rows: RowArray, size: int) -> Iterator[tuple[RowArray, CropArray]]:
        """``(positions in rows, crops)``, each image tile decoded once."""
        ...


@dataclass(frozen=True)
class ArrayCrops:
    """Crops held in memory; a :class:`CropSource`."""

    array: CropArray

    @property
    def pixels(self) -> int:
        return int(self.array.shape[1])

    def read(self, rows: RowArray) -> CropArray:
        return self.array[rows]

    def batches(self, rows: RowArray, size: int) -> Iterator[tuple[RowArray, CropArray]]:
        for start in range(0, len(rows), size):
            at = np.arange(start, min(start + size, len(rows)))
            yield at, self.array[rows[at]]
