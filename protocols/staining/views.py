"""What a virtual-staining model really holds. Nothing in a :class:`PatchView` leads to an IHC image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from protocols.contract import CropArray, FloatArray, RowArray, Settings, TextArray
from protocols.errors import UserError
from protocols.not_given import no_encoder, no_truth
from protocols.staining.store import IhcStore

ImageReader = Callable[[RowArray], CropArray]
"""Rows of a view -> images, uint8 ``(k, p, p, 3)``."""
EmbeddingReader = Callable[[RowArray], FloatArray]


@dataclass(frozen=True, eq=False)
class PatchView:
    """Implements :class:`protocols.staining.contract.PatchInputs`. A row is a tile; ``patch`` is its name."""

    marker: str
    patch: TextArray
    patient: TextArray
    pixels: int
    settings: Settings
    he_reader: ImageReader
    embedding_reader: EmbeddingReader | None = None
    oracle_reader: ImageReader | None = None

    def __len__(self) -> int:
        return len(self.patch)

    def he(self, rows: RowArray) -> CropArray:
        return self.he_reader(rows)

    def embedding(self, rows: RowArray) -> FloatArray:
        if self.embedding_reader is None:
            raise no_encoder("embedding")
        return self.embedding_reader(rows)

    def oracle(self, rows: RowArray) -> CropArray:
        if self.oracle_reader is None:
            raise no_truth()
        return self.oracle_reader(rows)


def _no_ihc(_rows: RowArray) -> CropArray:
    raise UserError(
        "a training view without IHC images", where="the stage", expected="an ihc_reader", remedy="give it one"
    )


@dataclass(frozen=True, eq=False)
class PatchTrainingView(PatchView):
    """Implements :class:`protocols.staining.contract.PatchTraining`.

    ``validation`` ``(n,)`` marks the tiles that the split keeps for stopping; a model may fit on them, too.
    """

    ihc_reader: ImageReader = _no_ihc
    workspace: Path | None = None
    validation: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=bool))

    def ihc(self, rows: RowArray) -> CropArray:
        return self.ihc_reader(rows)


def patch_view(
    store: IhcStore,
    marker: str,
    rows: RowArray,
    settings: Settings,
    *,
    embedding_reader: EmbeddingReader | None = None,
    oracle_root: Path | None = None,
) -> PatchView:
    """H&E tiles of a marker's patches among ``rows`` of the store (a fold's role, for example).

    ``oracle_root``: root of the registered twin of a phantom, for cards that need ``"oracle"`` alone.
    """
    tiles = store.tiles(store.rows_of(marker, rows))
    return PatchView(
        marker,
        tiles.name,
        store.patient[tiles.patch],
        store.tile.pixels,
        settings,
        store.reader("he", tiles),
        embedding_reader,
        store.aligned_reader(oracle_root, tiles) if oracle_root else None,
    )


def training_view(
    store: IhcStore,
    marker: str,
    train: RowArray,
    validation: RowArray,
    settings: Settings,
    *,
    workspace: Path | None = None,
    embedding_reader: EmbeddingReader | None = None,
    oracle_root: Path | None = None,
) -> PatchTrainingView:
    """Pairs of tiles of a marker's patches among ``train`` and ``validation``, the latter marked."""
    tiles = store.tiles(store.rows_of(marker, np.union1d(train, validation)))
    return PatchTrainingView(
        marker,
        tiles.name,
        store.patient[tiles.patch],
        store.tile.pixels,
        settings,
        store.reader("he", tiles),
        embedding_reader,
        store.aligned_reader(oracle_root, tiles) if oracle_root else None,
        store.reader("ihc", tiles),
        workspace,
        np.isin(tiles.patch, validation),
    )
