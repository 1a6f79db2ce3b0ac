"""Leaks of a cohort of patients with follow-up."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd

from tests.suite.engine.planted.json_cohorts import describe, described, two_ids_of_one
from tests.suite.engine.planted.json_cohorts import same_scan as same_scan
from tests.suite.engine.small_run import rewritten

EMPTY = {"a person in the external cohort": "its models are asked about no cohort but their own"}


def two_ids(folder: Path) -> None:
    describe(folder, two_ids_of_one(described(folder)))


def same_table(folder: Path) -> None:
    """The features of row 3 at row 7, too, written with four digits; follow-up and age are another's."""
    path = folder / "genomic.parquet"
    table = pd.read_parquet(path)
    table.iloc[7] = [float(f"{value:.4g}") for value in table.iloc[3]]
    held = io.BytesIO()
    table[sorted(table.columns, reverse=True)].to_parquet(held, index=False)
    rewritten(path, held.getvalue())
