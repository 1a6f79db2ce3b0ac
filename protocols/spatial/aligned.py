"""Puts a table of tiles in the order of those that were asked; refuses what is not whole."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.declared import HOW, refuse_holes
from protocols.errors import UserError
from protocols.metrics.spatial_maps import TileGrid

Float = NDArray[np.float64]


def tile_name(row: object, column: object) -> str:
    """What a tile is called where it is declared missing."""
    return f"row {row}, column {column}"


def aligned_map(
    table: pd.DataFrame, grid: TileGrid, genes: tuple[str, ...], where: str, declared: Collection[str] = ()
) -> Float:
    """Values ``(tiles, genes)`` at the tiles asked for; a missing tile or gene, a tile twice and a hole are errors.

    ``declared``: tiles that were declared missing; they, and no others, have no value at all (NaN).
    """
    remedy = f"hand in one row a covered tile: row, column, one column a gene; {HOW}"
    missing = [name for name in ("row", "column", *genes) if name not in table.columns]
    if missing:
        raise UserError(f"no column {missing[0]!r}", where=where, expected="row, column and genes", remedy=remedy)
    place = pd.MultiIndex.from_frame(table[["row", "column"]])
    if place.has_duplicates:
        raise UserError("a tile twice", where=where, expected="each once", remedy=remedy)
    asked = pd.MultiIndex.from_arrays([grid.row, grid.column])
    at = place.get_indexer(asked)
    if (at < 0).any():
        raise UserError(
            f"{int((at < 0).sum())} of {len(at)} tiles missing",
            where=where,
            expected="every covered tile",
            remedy=remedy,
        )
    values = table[list(genes)].to_numpy(np.float64)[at]
    names = [tile_name(*place) for place in zip(grid.row.tolist(), grid.column.tolist(), strict=True)]
    refuse_holes(values, genes, names, declared, where=where, remedy=remedy)
    return values
