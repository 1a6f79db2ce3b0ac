"""Scoring of one cell: its predictions against the truth. Knows no model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from protocols.cohorts.store import CohortStore
from protocols.errors import UserError
from protocols.files import sha256_of
from protocols.protocol import Fold
from protocols.splitting import read_split
from suite.config import Config
from suite.places import COHORT, PREDICTIONS, SPLITS
from suite.scoring import FoldReader, metrics_of, score, write_record

MANIFEST_FILE = "manifest.json"


def cell(config: Config, protocol_name: str, model_name: str, out: Path) -> dict[str, Any]:
    """Write one cell's record into ``out``; returns its few numbers for ``dvc metrics``."""
    store = CohortStore(COHORT)
    split, split_record = read_split(SPLITS / protocol_name)
    folder = PREDICTIONS / protocol_name / model_name
    manifest = read_manifest(folder, store.hash, str(split_record["hash"]))
    scores = None
    if not manifest["skipped"]:
        scores = score(config, store, split, fold_reader(folder, manifest), where=str(folder))
    return metrics_of(write_record(out, store, split, manifest, scores))


def read_manifest(folder: Path, cohort_hash: str, split_hash: str) -> dict[str, Any]:
    """A prediction folder's manifest; one made for another cohort or split is refused."""
    path = folder / MANIFEST_FILE
    try:
        manifest: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        raise UserError(
            "no manifest", where=folder, expected="finished predictions", remedy="run `dvc repro predict`"
        ) from None
    for name, expected in (("cohort", cohort_hash), ("split", split_hash)):
        if manifest[name] != expected:
            raise UserError(
                f"predictions were made for another {name}", where=path, expected=expected[:12], remedy="predict again"
            )
    return manifest


def fold_reader(folder: Path, manifest: dict[str, Any]) -> FoldReader:
    """Reads one fold's table, after its bytes were found to be the ones in the manifest."""
    entries = {fold["name"]: fold for fold in manifest["folds"]}

    def read(fold: Fold) -> pd.DataFrame:
        path = folder / entries[fold.name]["file"]
        if not path.exists() or sha256_of(path) != entries[fold.name]["sha256"]:
            raise UserError(
                "missing or changed since it was written",
                where=path,
                expected="the bytes in its manifest",
                remedy="predict again",
            )
        table: pd.DataFrame = pq.read_table(path, use_threads=False).to_pandas(use_threads=False)
        return table

    return read
