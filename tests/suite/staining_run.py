"""A tiny phantom of paired patches, its run's file and where its results lie; shared by the tests of staining."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from baselines.staining.ihc_unet import IhcUNet
from baselines.staining.parts.pairs import Plan
from protocols.phantom.ihc_settings import MINI_IHC
from protocols.records import ScoreRecord
from suite.places import answers_folder, score_folder
from tests.suite.engine_run import params

PROTOCOL, NETWORK = "ihc4bc", "ihc_unet"
TINY = replace(
    MINI_IHC,
    profile="tiny",
    markers=(("ER", 5), ("PR", 4), ("Her2", 4)),
    rows=1,
    columns=2,
    patch_px=64,
    candidates=1,
    reachable_draws=2,
    edge_every=99,
    blurred_every=99,
)
TILE, STEPS, SAVED_EVERY = 32, 6, 2
MODELS = ["ihc_oracle", "ihc_identity", "ihc_mean", NETWORK]
BOARDS = ["jitter_ER", "jitter_PR", "exact_ER", "membrane_HER2"]
COHORTS_OF: dict[str, dict[str, Any]] = {
    "jitter": {"root": "data/jitter", "markers": ["ER", "PR"], "aligned": "data/exact", "truth": "data/truth"},
    "exact": {"root": "data/exact", "markers": ["ER"], "aligned": "data/exact", "truth": "data/truth"},
    # As a real cohort of HER2: no label a patch, no registered twin.
    "membrane": {"root": "data/jitter", "markers": ["her-2"], "labels": None},
}


def plan(_model: IhcUNet, _profile: str) -> Plan:
    return Plan(2, 1e-3, steps=STEPS, crop=0, anneal=True, save_every=SAVED_EVERY)


def values(cohorts: dict[str, dict[str, Any]] = COHORTS_OF, **changes: Any) -> dict[str, Any]:
    given = {name: {"mpp": 1.0, **entry} for name, entry in cohorts.items()}
    told = {
        "protocols": [PROTOCOL],
        "models": MODELS,
        "tasks": {"staining": {"folds": 2, "tile_px": TILE, "shift_px": 2}},
        "cohorts": {"staining": given},
    }
    return params(**{**told, **changes})


def record(model: str, board: str) -> ScoreRecord:
    return ScoreRecord.read(score_folder(PROTOCOL, board, model, 0))


def answers(model: str, board: str) -> Path:
    return answers_folder(PROTOCOL, board, model, 0)
