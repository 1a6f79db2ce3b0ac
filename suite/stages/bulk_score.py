"""Scoring of one model's bulk expression (``tcga_expression``) or maps (``gbm_spatial``). Knows no model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from protocols.bulk.splitting import read_bulk_split
from protocols.bulk.store import BulkStore
from protocols.errors import UserError
from protocols.spatial.store import SectionsStore
from suite.bulk.fold import TRAINED
from suite.bulk.scoring import SlideTable, score_cohort, write_bulk_records
from suite.bulk.spatial_scoring import (
    MAP_CONTROLS,
    control_manifest,
    score_control,
    score_maps,
    write_spatial_record,
)
from suite.config import Config
from suite.places import BULK, SECTIONS, SPLITS
from suite.stages.bulk_predict import predictions_of, slides_file
from suite.stages.predict import MANIFEST_FILE


def cell(config: Config, protocol_name: str, model_name: str, out: Path) -> dict[str, Any]:
    """Write the cell's records below ``out``; returns each board's few numbers for ``dvc metrics``."""
    if model_name in MAP_CONTROLS:
        control = write_spatial_record(
            config, out, control_manifest(config, model_name), score_control(config, model_name)
        )
        return {"maps": {"pearson": control.headline.mean, "emd_median": control.summary.get("emd_median")}}
    folder = predictions_of(model_name)
    manifest = read_manifest(folder)
    if protocol_name == "gbm_spatial":
        _refuse_other_sections(manifest, folder)
        record = write_spatial_record(config, out, manifest, score_maps(config, manifest, folder / protocol_name))
        return {"maps": {"pearson": record.headline.mean, "emd_median": record.summary.get("emd_median")}}
    scores = {}
    for name, entry in manifest["cohorts"].items():
        folds, split = read_bulk_split(SPLITS / protocol_name / name)
        for what, expected in (("cohort", BulkStore(BULK / name).hash), ("split", split["hash"])):
            if entry[what] != expected:
                raise UserError(
                    f"predictions were made for another {what}",
                    where=f"{folder / MANIFEST_FILE}, {name}",
                    expected=str(expected)[:12],
                    remedy="predict again",
                )
        read = answer_reader(folder / protocol_name)
        scores[name] = None if entry["skipped"] else score_cohort(config, name, folds, read, str(folder))
    records = write_bulk_records(config, out, manifest, scores, len(folds))
    return {
        record.board: {"pearson": record.headline.mean, "well_predicted": record.summary.get("well_predicted")}
        for record in records
    }


def _refuse_other_sections(manifest: dict[str, Any], folder: Path) -> None:
    """Maps of other tiles, windows or strides would be compared with these sections' truth."""
    found = SectionsStore(SECTIONS).hash
    for name, entry in manifest["cohorts"].items():
        if entry["sections"] not in (None, found):
            raise UserError(
                "maps were made of other sections",
                where=f"{folder / MANIFEST_FILE}, {name}",
                expected=found[:12],
                remedy="predict again",
            )


def read_manifest(folder: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST_FILE).read_text())
    except FileNotFoundError:
        raise UserError(
            "no manifest", where=folder, expected="finished predictions", remedy="run `dvc repro bulk_predict`"
        ) from None
    return manifest


def answer_reader(folder: Path) -> SlideTable:
    """Reads ``<cohort>/NNNN[-untrained].parquet``; a model without twin has no such file."""

    def read(cohort: str, number: int, state: str) -> pd.DataFrame | None:
        path = folder / cohort / slides_file(number, state)
        if not path.exists() and state != TRAINED:
            return None
        try:
            return pd.read_parquet(path)
        except FileNotFoundError:
            return None
        except Exception as error:  # pyarrow raises many kinds for a damaged file
            raise UserError(
                f"unreadable ({type(error).__name__})", where=path, expected="a Parquet table", remedy="predict again"
            ) from error

    return read
