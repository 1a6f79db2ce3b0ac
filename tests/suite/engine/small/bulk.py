"""One cancer, an external cohort, normal tissue and a section; a control, and a ridge as somebody's own file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from protocols.phantom.bulk import generate_bulk
from suite.engine.run import Run
from tests.protocols.phantom.tiny_bulk import TINY_BULK
from tests.suite.bulk_run import EXPRESSION, MAPS, cohorts, values
from tests.suite.engine.numbers import with_numbers

MODELS = ["bulk_train_mean", "own_bulk"]
ADAPTER = """
from baselines.bulk.ridge_mean_feature import RidgeMeanFeature
from dataclasses import replace

class Own(RidgeMeanFeature):
    card = replace(RidgeMeanFeature.card, name="own_bulk", title="Own bulk")
"""


def write(folder: Path) -> dict[str, Any]:
    here = folder.name
    generate_bulk(folder / "data", TINY_BULK, 0)
    (folder / "own.py").write_text(ADAPTER, encoding="utf-8")
    return values(
        cohorts={"bulk": {name: _moved(entry, here) for name, entry in cohorts().items()}},
        protocols=[EXPRESSION, MAPS],
        models=MODELS,
        adapters={"own_bulk": f"{here}/own.py:Own"},
    )


def _moved(entry: dict[str, Any], here: str) -> dict[str, Any]:
    """Paths below the folder ``data`` of an entry, below ``here``."""
    told = {key: f"{here}/{value}" if str(value).partition("/")[0] == "data" else value for key, value in entry.items()}
    assert told["root"] == f"{here}/data"
    return told


def answers(_run: Run, asked: pd.DataFrame, genes: list[str], out: Path) -> Path:
    return with_numbers(asked.drop(columns=["x_um", "y_um"], errors="ignore"), genes, out)
