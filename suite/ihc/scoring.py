"""Joins generated with scanned IHC images, the only place where the two meet: one record a board."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from protocols import load_image_protocol
from protocols.contract import TextArray
from protocols.errors import UserError
from protocols.files import write_text_whole, written_whole
from protocols.ihc.scoring import Images, ImageScores, ScoredTiles, score_tiles
from protocols.ihc.splitting import IhcFold, read_ihc_split
from protocols.ihc.store import IhcStore
from protocols.metrics.h_score import THRESHOLDS, h_score_of_label
from protocols.records import RECORD_FILE, UNITS_FILE, Interval, ScoreRecord
from suite.config import Config
from suite.ihc.cohorts import Board, ihc_config, stored
from suite.places import SPLITS

SAMPLES_FILE = "samples.npy"


Answers = Callable[[int, TextArray], Images]
"""Number of a fold and names of its test tiles -> what reads their generated images, rows as in the names."""


def score_board(config: Config, board: Board, folder: Path) -> ImageScores:
    """Score ``<folder>/NNNN.npy``, one array a fold, in the order of the fold's test tiles."""
    return score_answers(config, board, lambda number, tiles: _array(folder / f"{number:04d}.npy", len(tiles)))


def score_answers(config: Config, board: Board, answers: Answers) -> ImageScores:
    """Score one board, wherever its generated images are read from."""
    split, _ = read_ihc_split(SPLITS / "ihc4bc" / board.cohort)
    folds = [_scored(config, board, fold, k, answers) for k, fold in enumerate(split.folds)]
    mpp = ihc_config(config, board.cohort).mpp * _downscale(config)
    return score_tiles(folds, board.marker, mpp=mpp, seed=config.seed, shift_px=config.ihc.shift_px)


def _downscale(config: Config) -> float:
    return (config.ihc.source_px or config.ihc.tile_px) / config.ihc.tile_px


def _array(path: Path, tiles: int) -> Images:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (FileNotFoundError, ValueError, EOFError) as error:
        raise UserError(
            f"unreadable ({type(error).__name__})", where=path, expected="uint8 images", remedy="predict again"
        ) from None
    if array.shape[:1] != (tiles,):  # too many would be cut off unnoticed
        raise UserError(f"an array {array.shape}", where=path, expected=f"{tiles} images", remedy="predict again")

    def read(rows: Any) -> Any:
        return np.array(array[rows])

    return read


def _scored(config: Config, board: Board, fold: IhcFold, number: int, answers: Answers) -> ScoredTiles:
    store, entry = stored(config, board.cohort), ihc_config(config, board.cohort)
    rows = store.rows_of(board.marker, fold.test)
    tiles = store.tiles(rows)
    return ScoredTiles(
        name=fold.name,
        tile=tiles.name,
        patch=store.name_of[tiles.patch],
        patient=store.patient[tiles.patch],
        he=store.reader("he", tiles),
        truth=store.reader("ihc", tiles),
        predicted=answers(number, tiles.name),
        registered=store.aligned_reader(entry.aligned, tiles) if entry.aligned else None,
        reference=references(store, board.marker, rows),
    )


def references(store: IhcStore, marker: str, rows: Any) -> dict[str, float]:
    """H-score of each labelled patch by name, nuclei of the IHC as denominator; discarded and unlabelled have none."""
    found: dict[str, float] = {}
    for row in rows.tolist() if marker in THRESHOLDS else ():
        flag, values = str(store.table["flag"].iloc[row]), store.dab(row, scored=False)
        if values is None or not flag:
            continue
        scored = h_score_of_label(flag, int(store.table["he_nuclei"].iloc[row]), values.astype(np.float64), marker)
        if scored.value is not None:
            found[str(store.name_of[row])] = scored.value
    return found


def write_image_record(
    config: Config, out: Path, manifest: dict[str, Any], board: Board, scores: ImageScores | None
) -> ScoreRecord:
    """The record, a row a tile, and a few images for the grid."""
    protocol, store, entry = load_image_protocol("ihc4bc"), stored(config, board.cohort), manifest["boards"][board.name]
    split, _ = read_ihc_split(SPLITS / "ihc4bc" / board.cohort)
    rows = store.rows_of(board.marker)
    record = ScoreRecord(
        protocol=protocol.name,
        protocol_version=manifest["protocol_version"],
        protocol_title=protocol.title,
        model=manifest["model"],
        kind=manifest["card"]["kind"],
        status="scored" if scores else "skipped",
        reason=entry["skipped"] or "",
        card=manifest["card"],
        weights=entry["weights"],
        profile=manifest["profile"],
        seed=manifest["seed"],
        device=manifest["device"],
        libraries=manifest["libraries"],
        cohort={
            "name": f"{store.name}, {board.marker}",
            "phantom": store.phantom,
            "unit": "patch",
            "n_slides": 0,
            "n_patients": len(set(store.patient[rows].tolist()) - {""}),
            "n_cells": len(rows),
            "n_folds": len(split.folds),
            "published_in": list(ihc_config(config, board.cohort).published_in),
        },
        hashes={key: str(entry[key]) for key in ("cohort", "split", "inputs")},
        headline=scores.headline if scores else Interval(None, None, None, 0),
        summary=scores.summary if scores else {},
        counts=scores.counts if scores else {},
        per_patient=scores.per_patient if scores else {},
        excluded=[asdict(item) for item in (*store.excluded, *split.excluded)],
        task="image",
        board=board.name,
        image=scores.image if scores else {},
    )
    out.mkdir(parents=True, exist_ok=True)
    with written_whole(out / UNITS_FILE) as part:
        (scores.units if scores else pd.DataFrame()).to_parquet(part, compression="zstd", index=False)
    if scores is not None:
        with written_whole(out / SAMPLES_FILE) as part, part.open("wb") as file:
            np.save(file, scores.samples, allow_pickle=False)
    write_text_whole(out / RECORD_FILE, record.to_json())
    return record
