"""Risks made elsewhere, of one model or many: joined with truth, refused if malformed, shown on the leaderboard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from protocols import load_survival_protocol
from protocols.errors import UserError, look_up
from protocols.files import sha256_of
from protocols.protocol import Fold, Split
from protocols.records import ScoreRecord
from protocols.splitting import read_split
from protocols.survival.scoring import SurvivalScores
from protocols.survival.store import PatientStore
from suite.config import Config
from suite.places import PATIENTS, SPLITS, SUBMISSIONS
from suite.submissions import predictions_only_manifest, read_table
from suite.survival.scoring import score_cohort, write_records

SAME_AS = {"case_id": "patient", "risk_score": "risk"}
"""Column names of published tables, and what they mean here."""
COLUMNS = ("cohort", "fold", "patient", "risk")


def score_survival_submission(
    config: Config, protocol_name: str, model: str | None, path: Path, note: str
) -> list[ScoreRecord]:
    """Score one table with columns cohort, fold, patient, risk, optional ``S(<months>)``, and model unless ``model``
    names the one in it. Every cohort that occurs for a model must be there whole; the others count as not handed in."""
    protocol = load_survival_protocol(protocol_name)
    table = read_table(path)
    table = table.rename(columns={old: new for old, new in SAME_AS.items() if new not in table.columns})
    if model is not None:
        if "model" in table.columns and table["model"].nunique() > 1:
            raise UserError(
                "the table holds several models", where=path, expected="one, with --model", remedy="drop --model"
            )
        table = table.assign(model=model)
    for name in ("model", *COLUMNS):
        if name not in table.columns:
            raise UserError(f"no column {name!r}", where=path, expected=", ".join(("model", *COLUMNS)), remedy="add it")
    records = []
    for name, part in table.groupby(table["model"].astype(str), sort=True):
        records += _score_model(config, protocol.name, str(name), part, path, note)
    return records


def _score_model(
    config: Config, protocol: str, model: str, table: pd.DataFrame, path: Path, note: str
) -> list[ScoreRecord]:
    if model in config.survival.models:
        raise UserError(
            f"{model!r} is a model of params.yaml", where=path, expected="a name of its own", remedy="rename it"
        )
    scores: dict[str, SurvivalScores | None] = {}
    splits: dict[str, Split] = {}
    cohorts: dict[str, Any] = {}
    digest = sha256_of(path)
    for name, part in table.groupby(table["cohort"].astype(str), sort=True):
        cohort = str(name)
        look_up(cohort, config.survival.cohorts, kind="cohort", where=path)
        store = PatientStore(PATIENTS / cohort)
        splits[cohort], record = read_split(SPLITS / protocol / cohort)
        folds = {fold.name: fold for fold in splits[cohort].folds}
        labels = part["fold"].astype(str)
        for label in labels.unique():
            look_up(label, folds, kind="fold", where=f"{path}, {cohort}")
        parts = {str(label): rows for label, rows in part.groupby(labels)}

        def read(fold: Fold, parts: dict[str, pd.DataFrame] = parts, cohort: str = cohort) -> pd.DataFrame:
            if fold.name not in parts:
                raise UserError(
                    f"{model} has no row for fold {fold.name!r}",
                    where=f"{path}, {cohort}",
                    expected="every fold",
                    remedy="predict it too",
                )
            return parts[fold.name]

        scores[cohort] = score_cohort(config, store, splits[cohort], read, where=f"{path}, {model}, {cohort}")
        cohorts[cohort] = {
            "cohort": store.hash,
            "split": record["hash"],
            "inputs": digest,
            "skipped": None,
            "weights": [{"part": "whole model", "source": "predictions only", "revision": None, "sha256": None}],
        }
    version = load_survival_protocol(protocol).version
    manifest = predictions_only_manifest(config, protocol, version, model, note) | {"cohorts": cohorts}
    manifest["card"]["task"] = "survival"
    return write_records(config, SUBMISSIONS / protocol / model, manifest, scores, splits)
