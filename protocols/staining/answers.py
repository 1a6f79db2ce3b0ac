"""A fold's images: uint8 RGB ``(tiles, p, p, 3)`` in the order of the fold's test tiles."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from protocols.contract import CropArray, RowArray
from protocols.errors import UserError


def fold_file(number: int) -> str:
    return f"{number:04d}.npy"


def read_images(path: Path, tiles: int) -> Callable[[RowArray], CropArray]:
    """Reads rows of a fold's array through a memory map."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (FileNotFoundError, ValueError, EOFError) as error:
        raise UserError(
            f"unreadable ({type(error).__name__})", where=path, expected="uint8 images", remedy="predict again"
        ) from None
    if array.shape[:1] != (tiles,):  # too many would be cut off unnoticed
        raise UserError(f"an array {array.shape}", where=path, expected=f"{tiles} images", remedy="predict again")

    def read(rows: RowArray) -> CropArray:
        return np.array(array[rows])

    return read
