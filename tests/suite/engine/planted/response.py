"""Leaks of a cohort of treated patients, who are tables alone."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd

from tests.suite.engine.planted.json_cohorts import describe, described
from tests.suite.engine.small_run import rewritten

_NO_IMAGE = "its patients are rows of tables, and no image is read"
EMPTY = {
    **dict.fromkeys(
        (
            "copied bytes", "the same pixels in another file", "re-encoded as JPEG", "stain-shifted",
            "turned by a quarter", "mirrored", "shifted by a quarter side", "rescaled by 1.1",
            "same scan under two patients",
        ),
        _NO_IMAGE,
    ),
    "a person in the external cohort": "its models are asked about no cohort but their own",
}  # fmt: skip


def two_ids(folder: Path) -> None:
    """The first is the second one's, written otherwise."""
    told = described(folder)
    _, second, *others = told["patients"]
    describe(folder, told | {"patients": [f"{second[0]}-{second[1:]}", second, *others]})


def same_table(folder: Path) -> None:
    """The proteins of row 3 at row 7, too, written with four digits; outcome and age are another's."""
    path = folder / "proteins.parquet"
    table = pd.read_parquet(path)
    table.iloc[7] = [float(f"{value:.4g}") for value in table.iloc[3]]
    held = io.BytesIO()
    table[sorted(table.columns, reverse=True)].to_parquet(held, index=False)
    rewritten(path, held.getvalue())
