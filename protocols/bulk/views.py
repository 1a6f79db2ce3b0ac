"""What a model of bulk expression really holds. Nothing in a :class:`SlideView` leads to an expression value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from protocols.bulk.contract import GroupedBy, SuperTiles
from protocols.contract import FloatArray, RowArray, Settings, TextArray
from protocols.errors import UserError
from protocols.not_given import no_encoder, no_truth

SuperTileReader = Callable[[RowArray, GroupedBy], SuperTiles]
"""(rows of the source, what k-means grouped by) -> their super-tiles."""
MeanReader = Callable[[RowArray], FloatArray]
OracleReader = Callable[[RowArray, tuple[str, ...]], FloatArray]


@dataclass(frozen=True, eq=False)
class SlideView:
    """Implements :class:`protocols.bulk.contract.SlideInputs`; ``rows`` number the slides (or windows) of a source."""

    rows: RowArray
    genes: tuple[str, ...]
    slide: TextArray
    patient: TextArray
    settings: Settings
    places: int
    width: int
    super_tile_reader: SuperTileReader | None = None
    mean_reader: MeanReader | None = None
    oracle_reader: OracleReader | None = None
    windows: bool = False

    def __len__(self) -> int:
        return len(self.rows)

    def super_tiles(self, rows: RowArray | None = None, *, grouped_by: GroupedBy = "features") -> SuperTiles:
        if self.super_tile_reader is None:
            raise no_encoder("super_tiles")
        if grouped_by not in ("features", "coordinates"):
            raise UserError(
                f"super-tiles grouped by {grouped_by!r}", where="the model", expected="features or coordinates",
                remedy="name one of the two",
            )  # fmt: skip
        return self.super_tile_reader(self.rows if rows is None else self.rows[rows], grouped_by)

    def mean_feature(self) -> FloatArray:
        if self.mean_reader is None:
            raise no_encoder("mean_feature")
        return self.mean_reader(self.rows)

    def oracle(self) -> FloatArray:
        if self.oracle_reader is None:
            raise no_truth()
        return self.oracle_reader(self.rows, self.genes)


@dataclass(frozen=True, eq=False)
class SlideTrainingView(SlideView):
    """Implements :class:`protocols.bulk.contract.SlideTraining`."""

    targets: FloatArray = field(default_factory=lambda: np.zeros((0, 0), dtype=np.float32))
    validation: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=bool))
    workspace: Path | None = None
