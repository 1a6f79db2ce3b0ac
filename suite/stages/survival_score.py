"""Scoring of one survival model: its risks against the follow-up of every cohort. Knows no model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from protocols.errors import UserError
from protocols.protocol import Split
from protocols.splitting import read_split
from protocols.survival.scoring import SurvivalScores
from protocols.survival.store import PatientStore
from suite.config import Config
from suite.places import PATIENTS, PREDICTIONS, SPLITS
from suite.stages.predict import MANIFEST_FILE
from suite.stages.score import fold_reader
from suite.survival.scoring import score_cohort, write_records


def cell(config: Config, protocol_name: str, model_name: str, out: Path) -> dict[str, Any]:
    """Write ``<out>/<cohort>`` and ``<out>/average``; returns each board's few numbers for ``dvc metrics``."""
    folder = PREDICTIONS / protocol_name / model_name
    try:
        manifest = json.loads((folder / MANIFEST_FILE).read_text())
    except FileNotFoundError:
        raise UserError(
            "no manifest", where=folder, expected="finished predictions", remedy="run `dvc repro predict`"
        ) from None
    scores: dict[str, SurvivalScores | None] = {}
    splits: dict[str, Split] = {}
    for name, entry in manifest["cohorts"].items():
        store = PatientStore(PATIENTS / name)
        splits[name], record = read_split(SPLITS / protocol_name / name)
        for what, expected in (("cohort", store.hash), ("split", record["hash"])):
            if entry[what] != expected:
                raise UserError(
                    f"predictions were made for another {what}",
                    where=f"{folder / MANIFEST_FILE}, {name}",
                    expected=str(expected)[:12],
                    remedy="predict again",
                )
        scores[name] = None
        if not entry["skipped"]:
            read = fold_reader(folder / name, entry)
            scores[name] = score_cohort(config, store, splits[name], read, where=f"{folder}, {name}")
    records = write_records(config, out, manifest, scores, splits)
    return {
        record.board: {"harrell_c": record.headline.mean, "uno_c": record.summary.get("uno_mean")} for record in records
    }
