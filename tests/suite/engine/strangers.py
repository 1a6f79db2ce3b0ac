"""Answers of somebody who has `slide2omics units` alone: a whole, valid submission to any protocol."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from protocols.protocol import Protocol
from suite.engine.run import Run
from suite.engine.units import targets_file, write_units
from tests.suite.engine.small_run import part_of


def submission(run: Run, protocol: Protocol, out: Path) -> Path:
    """A table (``answers.csv``) or a folder below ``out``."""
    out.mkdir(parents=True, exist_ok=True)
    write_units(run, protocol, out / "units.csv")
    asked = pd.read_csv(out / "units.csv", dtype=str)
    if "role" in asked.columns:
        asked = asked[asked["role"] == "test"].drop(columns="role")
    genes = targets_file(out / "units.csv")
    found: Path = part_of(protocol.task).answers(
        run, asked.reset_index(drop=True), sorted(set(pd.read_csv(genes)["gene"])) if genes.exists() else [], out
    )
    return found
