"""H&E tiles as crops to be embedded, for generators that are told what a frozen encoder sees."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from protocols.contract import CropArray, RowArray, Settings
from protocols.staining.store import IhcStore
from protocols.staining.views import EmbeddingReader, PatchView, patch_view
from protocols.task import CropSet, Opened


class TileCrops:
    """Implements :class:`protocols.expression.views.CropSource` over the H&E tiles of a view."""

    def __init__(self, view: PatchView) -> None:
        self._view = view

    @property
    def pixels(self) -> int:
        return self._view.pixels

    def read(self, rows: RowArray) -> CropArray:
        return self._view.he(rows)

    def batches(self, rows: RowArray, size: int) -> Iterator[tuple[RowArray, CropArray]]:
        for start in range(0, len(rows), size):
            places = np.arange(start, min(start + size, len(rows)), dtype=np.int64)
            yield places, self._view.he(rows[places])


def crops(opened: Opened) -> list[CropSet]:
    """Every H&E tile of each marker, in the store's order; the key of a set is its marker."""
    store: IhcStore = opened.store
    views = {marker: every_tile(store, marker) for marker in store.markers}
    return [CropSet(marker, TileCrops(view), np.arange(len(view), dtype=np.int64)) for marker, view in views.items()]


def every_tile(store: IhcStore, marker: str) -> PatchView:
    return patch_view(store, marker, np.arange(len(store), dtype=np.int64), Settings())


def embedding_reader(store: IhcStore, marker: str, file: Path, rows: RowArray) -> EmbeddingReader:
    """Reads the embedding of a view's tiles; ``rows`` are the view's patches in the store."""
    place = {name: at for at, name in enumerate(every_tile(store, marker).patch.tolist())}
    tiles = store.tiles(store.rows_of(marker, rows))
    at = np.array([place[name] for name in tiles.name.tolist()], dtype=np.int64)
    array = np.load(file, mmap_mode="r", allow_pickle=False)
    return lambda wanted: np.array(array[at[wanted]], dtype=np.float32)
