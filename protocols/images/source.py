"""Where crops come from, as whoever embeds or trains on them sees it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from protocols.contract import CropArray, RowArray


class CropSource(Protocol):
    """Where crops come from: the slides' images, or arrays in a test. ``rows`` number the whole cohort."""

    @property
    def pixels(self) -> int: ...

    def read(self, rows: RowArray) -> CropArray: ...

    def batches(self, rows: RowArray, size: int) -> Iterator[tuple[RowArray, CropArray]]:
        """``(positions in rows, crops)``, each image tile decoded once."""
        ...
