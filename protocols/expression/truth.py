"""What a phantom knows of its cells and genes: tables beside the cohort, read for oracles and in scoring alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from protocols.contract import TextArray
from protocols.errors import UserError
from protocols.names import safe_name
from protocols.readers.checks import read_parquet

ORACLE, CELLS = "oracle", "cells"
GENES_FILE = "genes.parquet"


def of_cells(truth: Path, folder: str, slide: str, cells: TextArray, columns: Sequence[str]) -> pd.DataFrame:
    """``columns`` of one slide's table under ``folder``, a row for each of ``cells``, in their order.

    The slide's name is the manifest's, so it is checked before it becomes a path.
    """
    path = truth / folder / f"{safe_name(slide, kind='slide', where=truth)}.parquet"
    table = read_parquet(path, ("cell_id", *columns), "truth").set_index("cell_id")
    place = table.index.get_indexer(pd.Index(cells))
    missing = cells[place < 0]
    if len(missing):
        raise UserError(
            f"no truth for {len(missing)} of {len(cells)} cells, first {str(missing[0])!r}",
            where=path,
            expected="the truth of this very cohort",
            remedy="set the cohort's truth to the folder that was generated with it",
        )
    return table.iloc[place]


def of_genes(truth: Path) -> pd.DataFrame:
    """slide, gene, visible_share and reachable_r (best reachable Pearson r) of every gene that a slide measures."""
    return read_parquet(truth / GENES_FILE, ("slide", "gene", "visible_share", "reachable_r"), "truth")
