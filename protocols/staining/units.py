"""Who is trained on and who must be drawn, a fold and a role at a time, since tiles may be millions.

``tile`` is the name under which an image is handed in. ``he`` is the file of the tile's patch; ``ihc`` that of the
neighbouring section, empty for a test tile. ``row`` and ``column`` are the tile's place in the patch, in tiles of
``source_px`` (or ``tile_px``) pixels without overlap.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from protocols.contract import RowArray
from protocols.protocol import Board
from protocols.staining.store import IhcStore
from protocols.task import Question

COLUMNS = ("cohort", "marker", "fold", "role", "tile", "patch", "patient", "he", "ihc", "row", "column")


def units(question: Question) -> Iterator[pd.DataFrame]:
    for fold in question.split.folds:
        for role, rows in fold.roles().items():
            yield _tiles(question.cohort.store, question.board, fold.name, role, rows)


def _tiles(store: IhcStore, board: Board, fold: str, role: str, rows: RowArray) -> pd.DataFrame:
    tiles = store.tiles(store.rows_of(str(board.part), rows))
    files = {side: np.array([str(store.root / path) for path in store.table[side]], object) for side in ("he", "ihc")}
    return pd.DataFrame(
        {
            "cohort": board.cohort,
            "marker": str(board.part),
            "fold": fold,
            "role": role,
            "tile": tiles.name,
            "patch": store.name_of[tiles.patch],
            "patient": store.patient[tiles.patch],
            "he": files["he"][tiles.patch],
            "ihc": "" if role == "test" else files["ihc"][tiles.patch],
            "row": tiles.corner[:, 0],
            "column": tiles.corner[:, 1],
        },
        columns=list(COLUMNS),
    )
