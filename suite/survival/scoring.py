"""Joins risks with follow-up, the only place where the two meet, and assembles one record a cohort and an average."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from protocols import load_survival_protocol
from protocols.errors import UserError
from protocols.files import write_text_whole, written_whole
from protocols.protocol import Fold, Split
from protocols.records import AVERAGE, RECORD_FILE, UNITS_FILE, Interval, ScoreRecord
from protocols.survival.scoring import ScoredFold, SurvivalScores, average_scores, score_folds
from protocols.survival.store import PatientStore
from suite.config import Config
from suite.places import PATIENTS
from suite.survival.answers import curves_of

AnswerReader = Callable[[Fold], pd.DataFrame]
_REMEDY = "hand in one row for every test patient of the fold"


def score_cohort(config: Config, store: PatientStore, split: Split, read: AnswerReader, where: str) -> SurvivalScores:
    """Score one cohort; ``read`` gives a fold's table (patient, risk, optional ``S(<months>)`` columns)."""
    return score_folds([_scored(store, fold, read(fold), where) for fold in split.folds], seed=config.seed)


def _scored(store: PatientStore, fold: Fold, table: pd.DataFrame, where: str) -> ScoredFold:
    at = f"{where}, fold {fold.name}"
    ordered = aligned(table, [store.patients[row] for row in fold.test], at)
    times, survival = curves_of(ordered, at)
    return ScoredFold(
        name=fold.name,
        patient=ordered["patient"].to_numpy(str),
        time=store.time[fold.test],
        event=store.event[fold.test],
        risk=ordered["risk"].to_numpy(np.float64),
        train_time=store.time[fold.train],
        train_event=store.event[fold.train],
        times=times,
        survival=survival,
    )


def aligned(table: pd.DataFrame, patients: list[str], where: str) -> pd.DataFrame:
    """The table in the order of ``patients``; refuses missing columns, duplicates, strangers and missing patients."""
    missing = [name for name in ("patient", "risk") if name not in table.columns]
    if missing:
        raise UserError(f"no column {missing[0]!r}", where=where, expected="patient and risk", remedy=_REMEDY)
    given = table["patient"].astype(str)
    if given.duplicated().any():
        raise UserError(
            f"patient {given[given.duplicated()].iloc[0]} twice", where=where, expected="each once", remedy=_REMEDY
        )
    strangers = sorted(set(given) - set(patients))
    if strangers:
        raise UserError(
            f"{len(strangers)} are not test patients, first {strangers[0]}",
            where=where,
            expected="only the fold's test patients",
            remedy="see `slide2omics units tcga_survival` for who is tested where",
        )
    absent = sorted(set(patients) - set(given))
    if absent:
        raise UserError(
            f"{len(absent)} test patients missing, first {absent[0]}",
            where=where,
            expected="every test patient",
            remedy=_REMEDY,
        )
    if not pd.api.types.is_numeric_dtype(table["risk"]):
        raise UserError("risk is not numeric", where=where, expected="numbers", remedy=_REMEDY)
    if not np.isfinite(table["risk"].to_numpy(np.float64)).all():
        bad = given[~np.isfinite(table["risk"].to_numpy(np.float64))].iloc[0]
        raise UserError(f"the risk of {bad} is not finite", where=where, expected="finite numbers", remedy=_REMEDY)
    return table.assign(patient=given).set_index("patient").loc[patients].reset_index()


def write_records(
    config: Config,
    out: Path,
    manifest: dict[str, Any],
    scores: dict[str, SurvivalScores | None],
    splits: dict[str, Split],
) -> list[ScoreRecord]:
    """Write ``<out>/<cohort>/`` for every cohort of ``scores`` (None: skipped) and ``<out>/average/`` where it exists.

    The average is of the cohorts under ``survival.average``, for models that were scored on all of them.
    """
    records = []
    for name, found in scores.items():
        store, entry = PatientStore(PATIENTS / name), manifest["cohorts"][name]
        description = describe(config, store, splits[name])
        hashes = {key: entry[key] for key in ("cohort", "split", "inputs")}
        excluded = [asdict(item) for item in (*store.excluded, *splits[name].excluded)]
        record = _record(manifest, name, entry["skipped"] or "", entry["weights"], description, hashes, found, excluded)
        records.append(_write(out / name, record, found))
    averaged = {name: scores.get(name) for name in config.survival.average}
    whole = {name: found for name, found in averaged.items() if found is not None}
    if whole and len(whole) == len(averaged):
        parts = [record for record in records if record.board in whole]
        records.append(_write(out / AVERAGE, _average(manifest, parts, average_scores(whole)), average_scores(whole)))
    return records


def describe(config: Config, store: PatientStore, split: Split) -> dict[str, Any]:
    """What a leaderboard says of a cohort of patients."""
    tested = np.unique(np.concatenate([fold.test for fold in split.folds]))
    return {
        "name": store.info.name,
        "phantom": store.info.phantom,
        "unit": "patient",
        "endpoint": store.info.endpoint,
        "n_slides": len(store.slides),
        "n_patients": len(tested),
        "n_events": int(store.event[tested].sum()),
        "n_cells": len(tested),
        "n_folds": len(split.folds),
        "n_genomic_features": len(store.genomic_features),
        "n_clinical_features": len(store.clinical_features),
        "published_in": list(config.survival.cohorts[store.info.name].published_in),
    }


def _average(manifest: dict[str, Any], parts: list[ScoreRecord], scores: SurvivalScores) -> ScoreRecord:
    counted = ("n_slides", "n_patients", "n_events", "n_cells", "n_folds")
    description = {
        "name": " + ".join(part.board for part in parts),
        "phantom": all(part.cohort["phantom"] for part in parts),
        "unit": "patient",
        "published_in": sorted(set.intersection(*(set(part.cohort["published_in"]) for part in parts))),
        **{key: sum(part.cohort[key] for part in parts) for key in counted},
    }
    joined = {key: "+".join(part.hashes[key] for part in parts) for key in ("cohort", "split", "inputs")}
    weights = parts[0].weights
    return _record(manifest, AVERAGE, "", weights, description, joined, scores, [])


def _record(
    manifest: dict[str, Any],
    board: str,
    reason: str,
    weights: list[dict[str, Any]],
    cohort: dict[str, Any],
    hashes: dict[str, str],
    scores: SurvivalScores | None,
    excluded: list[dict[str, str]],
) -> ScoreRecord:
    protocol = load_survival_protocol(manifest["protocol"])
    return ScoreRecord(
        protocol=protocol.name,
        protocol_version=manifest["protocol_version"],
        protocol_title=protocol.title,
        model=manifest["model"],
        kind=manifest["card"]["kind"],
        status="scored" if scores else "skipped",
        reason=reason,
        card=manifest["card"],
        weights=weights,
        profile=manifest["profile"],
        seed=manifest["seed"],
        device=manifest["device"],
        libraries=manifest["libraries"],
        cohort=cohort,
        hashes=hashes,
        headline=scores.headline if scores else Interval(None, None, None, 0),
        summary=scores.summary if scores else {},
        counts=scores.counts if scores else {},
        excluded=excluded,
        task="survival",
        board=board,
        replicates=scores.replicates if scores else [],
        survival=scores.survival if scores else {},
    )


def _write(out: Path, record: ScoreRecord, scores: SurvivalScores | None) -> ScoreRecord:
    out.mkdir(parents=True, exist_ok=True)
    with written_whole(out / UNITS_FILE) as part:
        (scores.units if scores else pd.DataFrame()).to_parquet(part, compression="zstd", index=False)
    write_text_whole(out / RECORD_FILE, record.to_json())
    return record
