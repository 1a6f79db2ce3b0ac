"""Embeddings of H&E tiles for generators that are told what a frozen encoder sees."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from protocols.contract import CropArray, RowArray
from protocols.files import sha256_of, sha256_of_files, write_text_whole
from protocols.ihc.store import IhcStore
from protocols.ihc.views import EmbeddingReader, PatchView, patch_view
from suite.config import Config
from suite.ihc.cohorts import Board, boards, stored
from suite.places import EMBEDDINGS
from suite.progress import steps
from suite.stages.encoder_sources import encoder_sources
from suite.tile_embeddings import note_of


class TileCrops:
    """Implements :class:`protocols.views.CropSource` over the H&E tiles of a view."""

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


def every_tile(store: IhcStore, marker: str, config: Config) -> PatchView:
    """All H&E tiles of a marker, in the store's order."""
    return patch_view(store, marker, np.arange(len(store), dtype=np.int64), config.settings())


def embed_patches(config: Config, encoders: list[str]) -> dict[tuple[str, str], dict[str, Any]]:
    """(board, encoder) -> where the embedding of its tiles lies, its hash and its weights; missing ones are made."""
    from baselines.encoders.embedding import embed

    notes = {}
    for board in boards(config) if encoders else ():
        store = stored(config, board.cohort)
        for encoder in encoders:
            file = _file(config, store, board, encoder)
            if not note_of(file).exists():
                view = every_tile(store, board.marker, config)
                rows = np.arange(len(view), dtype=np.int64)
                with steps(len(rows), f"{board.name}: embedding patches with {encoder}") as report:
                    settings = config.settings(encoder)
                    weights = embed(encoder, TileCrops(view), rows, settings, file, _told(report), whole_view=True)
                write_text_whole(
                    note_of(file), json.dumps({"sha256": sha256_of(file), "weights": vars(weights)}, sort_keys=True)
                )
            notes[board.name, encoder] = {"file": file.as_posix(), **json.loads(note_of(file).read_text())}
    return notes


def _told(report: Callable[[int], None]) -> Callable[[int, int], None]:
    return lambda done, _total: report(done)


def _file(config: Config, store: IhcStore, board: Board, encoder: str) -> Path:
    settings = config.settings(encoder)
    key = {
        "cohort": store.hash,
        "marker": board.marker,
        "encoder": encoder,
        "profile": settings.profile,
        "seed": settings.seed,
        "device": settings.device,
        "threads": settings.threads,
        "weights": settings.weights,
        "sources": sha256_of_files(*encoder_sources()),
        "libraries": {name: metadata.version(name) for name in ("torch", "timm")},
    }
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    return EMBEDDINGS / "ihc" / board.name / f"{encoder}-{digest[:16]}.npy"


def embedding_reader(config: Config, board: Board, file: Path, rows: RowArray) -> EmbeddingReader:
    """Reads the embedding of a view's tiles; ``rows`` are the view's patches in the store."""
    store = stored(config, board.cohort)
    place = {name: at for at, name in enumerate(every_tile(store, board.marker, config).patch.tolist())}
    tiles = store.tiles(store.rows_of(board.marker, rows))
    at = np.array([place[name] for name in tiles.name.tolist()], dtype=np.int64)
    array = np.load(file, mmap_mode="r", allow_pickle=False)
    return lambda wanted: np.array(array[at[wanted]], dtype=np.float32)
