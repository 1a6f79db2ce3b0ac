"""Two patches of four patients; a control, and a network on an encoder as somebody's own file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from protocols.phantom.ihc import generate_ihc
from protocols.phantom.ihc_settings import MINI_IHC
from suite.engine.run import Run
from tests.suite.engine_run import params

TINY = replace(
    MINI_IHC, profile="tiny", markers=(("ER", 4),), rows=1, columns=2, patch_px=64, candidates=1, reachable_draws=2,
    edge_every=99, blurred_every=99,
)  # fmt: skip
TILE = 32
MODELS = ["ihc_mean", "own_staining"]
ADAPTER = """
from dataclasses import replace
from baselines.staining.past_generator import PASTGenerator
from baselines.staining.parts.pairs import Plan

class Own(PASTGenerator):
    card = replace(PASTGenerator.card, name="own_staining", title="Own staining", published=())
    def plan(self, profile):
        return Plan(2, 1e-3, steps=2, crop=0, anneal=True)
"""


def write(folder: Path) -> dict[str, Any]:
    here = folder.name
    generate_ihc(folder / "data", TINY, seed=0)
    (folder / "own.py").write_text(ADAPTER, encoding="utf-8")
    data = f"{here}/data"
    places = {"root": f"{data}/jitter", "aligned": f"{data}/exact", "truth": f"{data}/truth"}
    entry = {**places, "markers": ["ER"], "mpp": 1.0}
    return params(
        protocols=["ihc4bc"],
        models=MODELS,
        cohorts={"staining": {"tiny": entry}},
        tasks={"staining": {"folds": 2, "tile_px": TILE, "shift_px": 1}},
        adapters={"own_staining": f"{here}/own.py:Own"},
    )


def answers(_run: Run, asked: pd.DataFrame, _genes: list[str], out: Path) -> Path:
    """One grey image a tile."""
    for cohort, marker, tile in asked[["cohort", "marker", "tile"]].itertuples(index=False):
        place = out / "answers" / cohort / marker / f"{tile}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (TILE, TILE), (180, 170, 160)).save(place)
    return out / "answers"
