"""Leaks of a cohort of patients with bulk expression."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from tests.suite.engine.planted.json_cohorts import describe, described, renamed, two_ids_of_one
from tests.suite.engine.planted.json_cohorts import same_scan as same_scan
from tests.suite.engine.small_run import rewritten

EMPTY: dict[str, str] = {}


def two_ids(folder: Path) -> None:
    describe(folder, two_ids_of_one(described(folder)))


def same_table(folder: Path) -> None:
    path = folder / "expression.npy"
    values = np.load(path)
    values[7] = np.round(values[3], 4)
    held = io.BytesIO()
    np.save(held, values)
    rewritten(path, held.getvalue())


def elsewhere(folder: Path, others: Path) -> Path:
    """The first patient of the external cohort is one of the cohort's, under a sample's barcode; what was altered."""
    outside = others / "phantom_cptac_gbm"
    told = described(outside)
    last = max(described(folder)["patients"])
    describe(outside, renamed(told, {told["patients"][-1]: f"{last.lower()}-01z"}))
    return outside
