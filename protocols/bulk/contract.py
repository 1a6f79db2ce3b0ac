"""What a model of bulk expression is given and what it must answer. One row is one slide, or one window of a section.

A model is one class with ``card`` (``task="bulk"``), ``fit`` and ``predict``, made with no arguments once per fold. It
is fitted on :class:`SlideTraining`, slides with the bulk expression of their patient, and asked about
:class:`SlideInputs`, which hold no expression: held-out slides, slides of another cohort, and windows of neighbouring
tiles (``windows`` is True), which is how a model trained on slides is asked for a map.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from protocols.contract import Card, FloatArray, RowArray, Settings, TextArray
from protocols.spatial.windows import WindowRule as WindowRule  # models name it from here

GroupedBy = Literal["features", "coordinates"]
"""What k-means groups tiles by: SEQUOIA their features, HE2RNA their places on the slide."""


@dataclass(frozen=True)
class SuperTiles:
    """Mean tile features of ``n`` slides or windows: ``features`` float32 ``(n, K, d)``, ``present`` bool ``(n, K)``.

    A slide with fewer tiles than K has its tiles themselves, first, and then absent rows. A window's K places are its
    own tiles, row by row, absent where there is no tissue (or as the model asks for them: :class:`AsksForWindows`).
    Absent rows are zero.
    """

    features: FloatArray
    present: NDArray[np.bool_]


class SlideInputs(Protocol):
    """Slides (or windows) a model may look at, without expression. All arrays are in one row order."""

    @property
    def genes(self) -> tuple[str, ...]:
        """The genes to predict, in the column order of the answer."""
        ...

    @property
    def slide(self) -> TextArray: ...

    @property
    def patient(self) -> TextArray: ...

    @property
    def settings(self) -> Settings: ...

    @property
    def windows(self) -> bool: ...

    @property
    def places(self) -> int:
        """``K``: super-tiles of a slide, and tiles of a window."""
        ...

    @property
    def width(self) -> int:
        """``d``: features of a tile, by the card's encoder."""
        ...

    def __len__(self) -> int: ...

    def super_tiles(self, rows: RowArray | None = None, *, grouped_by: GroupedBy = "features") -> SuperTiles:
        """Super-tiles of some rows (default: all), read when asked for. Windows ignore ``grouped_by``."""
        ...

    def mean_feature(self) -> FloatArray:
        """Mean over all tiles, float32 ``(n, d)``."""
        ...

    def oracle(self) -> FloatArray:
        """The phantom's best prediction, ``(n, genes)``; only for cards that need ``"oracle"``."""
        ...


class SlideTraining(SlideInputs, Protocol):
    """Slides together with the bulk expression of their patient."""

    @property
    def targets(self) -> FloatArray:
        """float32 ``(n, genes)``: log2(v + 1) of FPKM-UQ; slides of one patient share a row. Finite."""
        ...

    @property
    def validation(self) -> NDArray[np.bool_]:
        """Slides of the patients that the split keeps for stopping, ``(n,)``; a tenth of the fold's training patients.

        A model without anything to stop may fit on them, too.
        """
        ...

    @property
    def workspace(self) -> Path | None:
        """A folder of this fit alone that survives a kill: a checkpoint left there is found again. None: nowhere."""
        ...


@runtime_checkable
class BulkModel(Protocol):
    """An answer. Optional hooks: the classes below, ``weights()``, ``schedule()``."""

    card: ClassVar[Card]

    def fit(self, train: SlideTraining) -> None: ...

    def predict(self, test: SlideInputs) -> FloatArray:
        """Predicted log2(v + 1), float32 ``(n, len(test.genes))``, finite everywhere."""
        ...


@runtime_checkable
class PretrainsOnNormal(Protocol):
    """A model that first learns from normal tissue (card: ``needs=("normal",)``). Its genes may be others.

    Pre-training happens once a run; every fold's instance is then given the kept arrays by ``start_from`` before
    ``fit``. Arrays, not objects: nothing is pickled between processes.
    """

    def pretrain(self, normal: SlideTraining) -> dict[str, NDArray[np.float32]]: ...

    def start_from(self, pretrained: dict[str, NDArray[np.float32]]) -> None: ...


@runtime_checkable
class HasUntrainedTwin(Protocol):
    """A model whose architecture can answer before training: the comparison of SEQUOIA's significance test.

    ``fit`` must have been called: the twin is what the network was before the first step.
    """

    def predict_untrained(self, test: SlideInputs) -> FloatArray: ...


@runtime_checkable
class AsksForWindows(Protocol):
    """A model that wants its windows laid by another rule than the paper's, see :data:`WindowRule`."""

    window_rule: ClassVar[WindowRule]
