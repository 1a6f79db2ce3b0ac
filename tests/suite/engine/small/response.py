"""Forty made-up patients with a response, clinical variables and proteins; a control, and somebody's own model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from suite.engine.run import Run
from tests.suite.engine_run import params

MODELS = ["response_prevalence", "own_response"]
PROTEINS = (
    "mean_CD3e",
    "mean_CD4",
    "mean_CD8",
    "mean_CD68",
    "mean_FOXP3",
    "mean_MPO",
    "niche_CD8_CD4",
    "niche_CD68_MPO",
)
ADAPTER = """
from baselines.response.logistic_all import LogisticAll
from dataclasses import replace

class Own(LogisticAll):
    card = replace(LogisticAll.card, name="own_response", title="Own response", published=())
"""


def write_patients(folder: Path, n: int = 40, seed: int = 0, effect: float = 1.0) -> None:
    """``outcome.csv``, ``clinical.csv``, ``proteins.csv`` and ``truth/patients.parquet``: TMB, CD8 and where CD8 lies
    beside CD4 raise the log odds, each by ``effect`` a standard deviation."""
    rng = np.random.default_rng(seed)
    clinical, proteins = rng.normal(size=(n, 3)), rng.normal(size=(n, len(PROTEINS)))
    told = clinical[:, 2] + proteins[:, 2] + proteins[:, 6]
    probability = 1 / (1 + np.exp(0.5 - effect * told))
    patients = [f"P{k:03d}" for k in range(n)]
    outcome = (rng.random(n) < probability).astype(int)
    outcome[:8] = [0, 1] * 4
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "truth").mkdir()
    pd.DataFrame({"patient": patients, "response": outcome}).to_csv(folder / "outcome.csv", index=False)
    shown = {"age": 62 + 9 * clinical[:, 0], "pdl1": 30 + 9 * clinical[:, 1], "tmb": 10 + 3 * clinical[:, 2]}
    pd.DataFrame({"patient": patients, **shown}).to_csv(folder / "clinical.csv", index=False)
    table = pd.DataFrame(0.3 + 0.1 * proteins, columns=list(PROTEINS))
    table.insert(0, "patient", patients)
    table.to_csv(folder / "proteins.csv", index=False)
    truth = pd.DataFrame({"patient": patients, "probability_all": probability})
    truth.to_parquet(folder / "truth" / "patients.parquet", index=False)


def entry(root: str) -> dict[str, Any]:
    """As the run's file names such a cohort."""
    files = {key: f"{key}.csv" for key in ("outcome", "clinical", "proteins")}
    return {"reader": "tidy", "root": root, "truth": f"{root}/truth", **files}


def write(folder: Path) -> dict[str, Any]:
    here = folder.name
    write_patients(folder / "data")
    (folder / "own.py").write_text(ADAPTER, encoding="utf-8")
    return params(
        protocols=["response"],
        models=MODELS,
        cohorts={"response": {"tiny": entry(f"{here}/data")}},
        tasks={"response": {"folds": 2}},
        adapters={"own_response": f"{here}/own.py:Own"},
    )


def answers(_run: Run, asked: pd.DataFrame, _genes: list[str], out: Path) -> Path:
    values = np.random.default_rng(0).uniform(0, 1, len(asked)).round(3)
    asked.assign(probability=values).to_csv(out / "answers.csv", index=False)
    return out / "answers.csv"
