"""Twenty patients of one cohort; a control, and a network on an encoder as somebody's own file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from protocols.phantom.tcga import generate_tcga
from protocols.phantom.tcga_settings import MINI_TCGA
from suite.engine.run import Run
from tests.suite.engine.numbers import with_numbers
from tests.suite.engine_run import default_params, params

TINY = replace(
    MINI_TCGA, cohorts=(("brca", 20),), slide=replace(MINI_TCGA.slide, image_px=160, tile_px=160, oracle_draws=8)
)
MODELS = ["kaplan_meier", "own_survival"]
ADAPTER = """
from baselines.survival.deep_sets import DeepSets
from dataclasses import replace

class Own(DeepSets):
    card = replace(DeepSets.card, name="own_survival", title="Own survival", published=())
"""


def write(folder: Path) -> dict[str, Any]:
    here = folder.name
    generate_tcga(folder / "data", TINY, seed=0)
    (folder / "own.py").write_text(ADAPTER, encoding="utf-8")
    known = default_params()
    entry = known["cohorts"]["survival"]["phantom_brca"] | {"root": f"{here}/data", "truth": f"{here}/data/truth"}
    tile = known["tasks"]["survival"]["tile"]
    return params(
        protocols=["tcga_survival"],
        models=MODELS,
        cohorts={"survival": {"tiny": entry}},
        tasks={"survival": {"tile": tile, "folds": 2, "average": ["tiny"]}},
        adapters={"own_survival": f"{here}/own.py:Own"},
    )


def answers(_run: Run, asked: pd.DataFrame, _genes: list[str], out: Path) -> Path:
    return with_numbers(asked, ["risk"], out)
