"""What a virtual-staining model is given and what it must answer. One row is one patch: H&E in, IHC of one marker out.

A model is one class with ``card`` (``task="staining"``), ``fit`` and ``predict``, made with no arguments once per fold
and marker. It is fitted on :class:`PatchTraining`, patches with their IHC image, and asked about :class:`PatchInputs`,
which hold H&E alone. Images are read when asked for: memory does not grow with the number of patches.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

from protocols.contract import Card, CropArray, FloatArray, RowArray, Settings, TextArray


class PatchInputs(Protocol):
    """Patches a model may look at, without their IHC image. All arrays are in one row order."""

    @property
    def marker(self) -> str:
        """ER, PR, Ki67 or HER2."""
        ...

    @property
    def patch(self) -> TextArray: ...

    @property
    def patient(self) -> TextArray: ...

    @property
    def pixels(self) -> int:
        """Side of every image."""
        ...

    @property
    def settings(self) -> Settings: ...

    def __len__(self) -> int: ...

    def he(self, rows: RowArray) -> CropArray:
        """H&E patches, uint8 RGB ``(k, p, p, 3)``."""
        ...

    def embedding(self, rows: RowArray) -> FloatArray:
        """Frozen embedding of the H&E patches by the card's encoder, float32 ``(k, d)``; only with an encoder."""
        ...

    def oracle(self, rows: RowArray) -> CropArray:
        """The true IHC image, moved onto the H&E where the phantom knows how; only for cards that need ``"oracle"``."""
        ...


class PatchTraining(PatchInputs, Protocol):
    """Patches together with their IHC image."""

    def ihc(self, rows: RowArray) -> CropArray:
        """IHC patches as scanned (not registered to the H&E beyond the data set's own), uint8 ``(k, p, p, 3)``."""
        ...

    @property
    def workspace(self) -> Path | None:
        """A folder that survives a kill, for this model and fold alone; a checkpoint left there is found again."""
        ...


@runtime_checkable
class StainingModel(Protocol):
    """An answer. Optional hook: ``weights()`` for provenance."""

    card: ClassVar[Card]

    def fit(self, train: PatchTraining) -> None: ...

    def predict(self, test: PatchInputs, rows: RowArray) -> CropArray:
        """IHC images of some rows, uint8 RGB ``(k, p, p, 3)``; a patch's image must not depend on its companions."""
        ...
