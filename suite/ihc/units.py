"""Who is trained on and who must be drawn, of ``ihc4bc``: what somebody needs who predicts elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from protocols.contract import RowArray
from protocols.ihc.splitting import ROLES, read_ihc_split
from protocols.ihc.store import IhcStore
from suite.config import Config
from suite.ihc.cohorts import Board, boards, stored
from suite.places import SPLITS

COLUMNS = ("cohort", "marker", "fold", "role", "tile", "patch", "patient", "he", "ihc", "row", "column")


def image_units(config: Config) -> pd.DataFrame:
    """Every tile of every fold, in one table (:data:`COLUMNS`); see :func:`unit_parts` for what they hold."""
    parts = list(unit_parts(config))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(COLUMNS))


def unit_parts(config: Config) -> Iterator[pd.DataFrame]:
    """The same table piece by piece (a board, a fold and a role at a time), since tiles may be millions.

    ``tile`` is the name under which an image is handed in. ``he`` is the file of the tile's patch; ``ihc`` that of the
    neighbouring section, empty for a test tile. ``row`` and ``column`` are the tile's place in the patch, in tiles of
    ``ihc.source_px`` (or ``tile_px``) pixels without overlap.
    """
    for board in boards(config):
        store = stored(config, board.cohort)
        split, _ = read_ihc_split(SPLITS / "ihc4bc" / board.cohort)
        for fold in split.folds:
            for role, rows in zip(ROLES, fold.roles(), strict=True):
                yield _tiles(store, board, fold.name, role, rows)


def _tiles(store: IhcStore, board: Board, fold: str, role: str, rows: RowArray) -> pd.DataFrame:
    tiles = store.tiles(store.rows_of(board.marker, rows))
    files = {side: np.array([str(store.root / path) for path in store.table[side]], object) for side in ("he", "ihc")}
    return pd.DataFrame(
        {
            "cohort": board.cohort,
            "marker": board.marker,
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
