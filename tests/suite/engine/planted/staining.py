"""Leaks of a cohort of paired patches."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd

from tests.suite.engine.small_run import rewritten

EMPTY = {
    "same table under another id": "patches have no table; their labels are counts of a few nuclei, which people share",
    "a person in the external cohort": "its models are asked about no cohort but their own",
}


def same_scan(folder: Path) -> None:
    table = read(folder)
    first, second = rows(table)
    table.loc[second, ["he", "ihc"]] = table.loc[first, ["he", "ihc"]].to_numpy()
    write(folder, table)


def two_ids(folder: Path) -> None:
    table = read(folder)
    people = table["patient"].unique()
    write(folder, table.replace({"patient": {people[0]: "P-7", people[1]: "p007"}}))


def read(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "patches.parquet")


def rows(table: pd.DataFrame) -> tuple[int, int]:
    """Patches of two people."""
    return 0, int(np.argmax(table["patient"].to_numpy() != table["patient"].iloc[0]))


def write(folder: Path, table: pd.DataFrame) -> None:
    held = io.BytesIO()
    table.to_parquet(held, index=False)
    rewritten(folder / "patches.parquet", held.getvalue())
