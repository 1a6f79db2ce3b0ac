"""Predictions made elsewhere, in any language: joined with truth, refused if malformed, shown on the leaderboard."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from protocols.cohorts.store import CohortStore
from protocols.errors import UserError, look_up
from protocols.files import sha256_of
from protocols.protocol import Fold
from protocols.records import ScoreRecord
from protocols.splitting import read_split
from suite.config import Config
from suite.places import COHORT, SPLITS, SUBMISSIONS
from suite.scoring import score, write_record

IDS = ("cohort", "fold", "model", "slide", "section", "patient", "case_id", "cell_id")
"""Columns that hold names, in the table of any task."""


def read_csv(path: Path) -> pd.DataFrame:
    """A CSV whose names stay text as written: ``0012``, ``1e5`` and ``NA`` are names; an empty one is a hole."""
    return pd.read_csv(path, converters=dict.fromkeys(IDS, lambda text: text or None))


READERS: dict[str, Callable[[Path], pd.DataFrame]] = {
    ".parquet": pd.read_parquet,
    ".csv": read_csv,
    ".gz": read_csv,
}


def score_submission(config: Config, protocol_name: str, model: str, path: Path, note: str) -> ScoreRecord:
    """Score one table: columns fold (needed where a unit is tested in several folds), slide, cell_id, one a gene."""
    if model in config.models:
        raise UserError(
            f"{model!r} is a model of params.yaml",
            where="--model",
            expected="a name of its own",
            remedy="choose another",
        )
    table = read_table(path)
    store = CohortStore(COHORT)
    split, record = read_split(SPLITS / protocol_name)
    for name in ("slide", "cell_id"):
        if name not in table.columns:
            raise UserError(f"no column {name!r}", where=path, expected="slide, cell_id, genes", remedy="add it")
    table = table.assign(slide=table["slide"].astype(str), cell_id=table["cell_id"].astype(str))
    if "fold" in table.columns:
        for name in table["fold"].astype(str).unique():
            look_up(name, {fold.name: fold for fold in split.folds}, kind="fold", where=path)
        parts = {str(name): part for name, part in table.groupby("fold", observed=True)}
    else:
        fold_of = _fold_of_unit(store, split.folds)
        given = pd.MultiIndex.from_frame(table[["slide", "cell_id"]])
        strangers = ~given.isin(list(fold_of))
        if strangers.any():
            raise UserError(
                f"{strangers.sum()} rows are not test units, first {given[strangers][0]}",
                where=path,
                expected="only test units",
                remedy="see `slide2omics units` for the list",
            )
        parts = {str(name): part for name, part in table.groupby([fold_of[unit] for unit in given])}

    def read_fold(fold: Fold) -> pd.DataFrame:
        if fold.name not in parts:
            raise UserError(
                f"no row for fold {fold.name!r}", where=path, expected="every fold", remedy="predict it too"
            )
        return parts[fold.name]

    scores = score(config, store, split, read_fold, where=str(path))
    digest = sha256_of(path)
    manifest = predictions_only_manifest(config, protocol_name, str(record["version"]), model, note) | {
        "weights": [{"part": "whole model", "source": "predictions only", "revision": None, "sha256": None}],
        "cohort": store.hash,
        "split": record["hash"],
        "inputs": digest,
        "skipped": None,
        "folds": [{"name": path.name, "sha256": digest}],
    }
    return write_record(SUBMISSIONS / protocol_name / model, store, split, manifest, scores)


def read_table(path: Path) -> pd.DataFrame:
    """A CSV or Parquet table that somebody handed in."""
    if not path.exists():
        raise UserError("no such file", where=path, expected="a .parquet or .csv table", remedy="check the path")
    return look_up(path.suffix, READERS, kind="kind of table", where=path)(path)


def predictions_only_manifest(config: Config, protocol: str, version: str, model: str, note: str) -> dict[str, Any]:
    """What a manifest says of a model of which only predictions are known."""
    return {
        "protocol": protocol,
        "protocol_version": version,
        "model": model,
        "card": {
            "name": model,
            "title": f"{model} (predictions only)",
            "kind": "model",
            "published": [],
            "summary": note,
        },
        "profile": "predictions only",
        "seed": config.seed,
        "device": "unknown",
        "libraries": {},
    }


def _fold_of_unit(store: CohortStore, folds: tuple[Fold, ...]) -> dict[tuple[str, str], str]:
    cell_ids = store.units["cell_id"].to_numpy()
    return {
        (store.slides[store.slide_index[row]].slide, cell_ids[row]): fold.name for fold in folds for row in fold.test
    }
