"""The default run's bulk part on a tiny phantom of one cancer, and where its results lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from protocols.bulk.store import BulkStore
from protocols.findings import Audit, read_audit
from protocols.records import ScoreRecord
from protocols.registry import load_protocol
from protocols.spatial.store import SectionsStore
from suite.places import answers_folder, audit_folder, cohort_folder, score_folder
from tests.suite.engine_run import default_params, params

EXPRESSION, MAPS = "tcga_expression", "gbm_spatial"
NETWORK = "sequoia_vis_pretrained"
MODELS = ["bulk_oracle", "bulk_train_mean", "ridge_mean_feature", NETWORK]
CONTROLS = [card.name for card in load_protocol(MAPS).controls]
COHORT, EXTERNAL, NORMAL, SECTIONS = "phantom_gbm", "phantom_cptac_gbm", "phantom_normal", "phantom_sections"
SECTION = "UKF900_T_ST"


def cohorts() -> dict[str, dict[str, Any]]:
    """The default run's, of one cancer, in the folder ``data``."""
    known = default_params()["cohorts"]["bulk"]
    return {
        COHORT: known["phantom_gbm"] | {"root": "data", "truth": "data/truth/oracle/gbm.parquet"},
        EXTERNAL: known["phantom_cptac_brca"]
        | {
            "root": "data",
            "files": {"table": "cptac_gbm/reference.csv.gz", "slides": "cptac_gbm/slides.csv"},
            "external": COHORT,
            "truth": "data/truth/oracle/cptac_gbm.parquet",
        },
        NORMAL: known["phantom_normal"] | {"root": "data"},
        SECTIONS: known["phantom_sections"]
        | {
            "root": "data",
            "manifest": "data/sections.csv",
            "modules": "data/meta_modules.json",
            "truth": "data/truth",
            "window": 2,
            "genes": 8,
        },
    }


def settings(**changes: Any) -> dict[str, Any]:
    known: dict[str, Any] = default_params()["tasks"]["bulk"]
    return {"bulk": known | {"super_tiles": 4, "average": [COHORT]} | changes}


def values(**changes: Any) -> dict[str, Any]:
    told = {"protocols": [EXPRESSION, MAPS], "models": MODELS, "cohorts": {"bulk": cohorts()}, "tasks": settings()}
    return params(**told | changes)


def record(protocol: str, board: str, model: str) -> ScoreRecord:
    return ScoreRecord.read(score_folder(protocol, board, model, 0))


def stored(name: str = COHORT) -> BulkStore:
    return BulkStore(cohort_folder("bulk", name))


def sections() -> SectionsStore:
    return SectionsStore(cohort_folder("bulk", SECTIONS))


def answers(model: str) -> Path:
    return answers_folder(EXPRESSION, COHORT, model, 0)


def audit(protocol: str, name: str) -> Audit:
    return read_audit(audit_folder(protocol, name), failing=True)[0]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
