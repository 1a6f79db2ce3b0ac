"""Four small slides of two cancers, and small cohorts of proteins; a control, and an encoder's probe as somebody's own
file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from protocols.phantom.generate import generate
from protocols.phantom.settings import MINI
from suite.engine.questions import opened
from suite.engine.run import Run
from tests.suite.engine.numbers import with_numbers
from tests.suite.engine.small import proteins
from tests.suite.engine_run import default_params, params

TINY = replace(
    MINI, cancers=("breast", "lung"), patients_per_cancer=2, lone_cancer=None, image_px=320, core_genes=48,
    shared_genes=6, shared_pool=14, private_genes=2, lacking_genes=2, oracle_draws=8, replicate_draws=2,
)  # fmt: skip
MODELS = ["train_mean", "own_expression"]
ADAPTER = """
from dataclasses import replace
from baselines.expression.resnet50 import ResNet50

class Own(ResNet50):
    card = replace(ResNet50.card, name="own_expression", title="Own expression", published=())
"""


def write(folder: Path) -> dict[str, Any]:
    here = folder.name
    generate(folder / "data", TINY, seed=0)
    (folder / "own.py").write_text(ADAPTER, encoding="utf-8")
    entry = {
        "reader": "xenium",
        "root": f"{here}/data",
        "manifest": f"{here}/data/slides.csv",
        "truth": f"{here}/data/truth",
    }
    return params(
        protocols=["intra_patient", "inter_patient", "cross_cancer", "codex_protein", "codex_external"],
        models=MODELS,
        cohorts={"expression": {"tiny": entry, **proteins.write(folder / "proteins", f"{here}/proteins")}},
        tasks={"expression": default_params()["tasks"]["expression"] | {"split": {"blocks": 2}}},
        adapters={"own_expression": f"{here}/own.py:Own"},
    )


def answers(run: Run, asked: pd.DataFrame, _genes: list[str], out: Path) -> Path:
    """Every gene of every slide for every unit: a fold asks for some of them."""
    asked_slides = set(asked["slide"])
    stores = [opened(run.tasks["expression"], request).store for request in run.requests("expression").values()]
    genes = {gene for store in stores for gene in store.all_genes if {one.slide for one in store.slides} & asked_slides}
    return with_numbers(asked[["fold", "slide", "cell_id"]], sorted(genes), out)
