"""Joins predictions with truth, the only place where the two meet, and assembles the score record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from protocols import load_protocol
from protocols.cohorts.store import CohortStore
from protocols.contract import FloatArray
from protocols.errors import UserError
from protocols.files import write_text_whole, written_whole
from protocols.protocol import Fold, Split
from protocols.records import MAPS_FILE, RECORD_FILE, UNITS_FILE, Interval, ScoreRecord
from protocols.scoring import ScoredBlock, Scores, score_blocks
from suite.config import Config
from suite.data import rare_cells, reachable

FoldReader = Callable[[Fold], pd.DataFrame]


def score(config: Config, store: CohortStore, split: Split, read_fold: FoldReader, where: str) -> Scores:
    """Score every fold; ``read_fold`` gives a fold's table (slide, cell_id, one column a gene)."""
    return score_blocks(
        _blocks(store, split, read_fold, where, config.cohort.truth),
        seed=config.seed,
        reachable=reachable(store, config.cohort.truth),
        blocks_per_slide=_blocks_per_slide(store, split),
    )


def write_record(
    out: Path, store: CohortStore, split: Split, manifest: dict[str, Any], scores: Scores | None
) -> ScoreRecord:
    """Write ``record.json``, ``units.parquet`` and ``maps.parquet`` into ``out``."""
    protocol = load_protocol(manifest["protocol"])
    record = ScoreRecord(
        protocol=protocol.name,
        protocol_version=manifest["protocol_version"],
        protocol_title=protocol.title,
        model=manifest["model"],
        kind=manifest["card"]["kind"],
        status="scored" if scores else "skipped",
        reason=manifest["skipped"] or "",
        card=manifest["card"],
        weights=manifest["weights"],
        profile=manifest["profile"],
        seed=manifest["seed"],
        device=manifest["device"],
        libraries=manifest["libraries"],
        cohort=describe_cohort(store, split),
        hashes={name: manifest[name] for name in ("cohort", "split", "inputs")}
        | {"predictions": _hash_of_folds(manifest)},
        headline=scores.headline if scores else Interval(None, None, None, 0),
        summary=scores.summary if scores else {},
        counts=scores.counts if scores else {},
        per_patient=scores.per_patient if scores else {},
        per_gene=scores.per_gene if scores else [],
        biology=scores.biology if scores else [],
        excluded=[asdict(item) for item in split.excluded],
    )
    out.mkdir(parents=True, exist_ok=True)
    empty = pd.DataFrame()  # a skipped cell has its files too: the pipeline counts on them
    for name, table in ((UNITS_FILE, scores.units if scores else empty), (MAPS_FILE, scores.maps if scores else empty)):
        with written_whole(out / name) as part:
            table.to_parquet(part, compression="zstd", index=False)
    write_text_whole(out / RECORD_FILE, record.to_json())
    return record


def describe_cohort(store: CohortStore, split: Split) -> dict[str, Any]:
    """What a leaderboard says of the cohort, counting only what the protocol tested."""
    tested = np.unique(np.concatenate([fold.test for fold in split.folds])) if split.folds else np.zeros(0, np.int64)
    slides = store.slides_of(tested)
    return {
        "name": store.info.name,
        "phantom": store.info.phantom,
        "unit": store.info.unit,
        "crop_um": store.info.crop_um,
        "crop_pixels": store.info.crop_pixels,
        "n_slides": len(slides),
        "n_patients": len({slide.patient or slide.slide for slide in slides}),
        "n_unknown_patients": sum(slide.patient is None for slide in slides),
        "n_cancers": len({slide.cancer for slide in slides}),
        "n_cells": len(tested),
        "n_genes": len({gene for fold in split.folds for gene in fold.genes}),
        "n_folds": len(split.folds),
    }


def aligned(table: pd.DataFrame, store: CohortStore, fold: Fold, where: str) -> FloatArray:
    """A fold's predictions in the cohort's row order, float32 ``(n_test, genes)``.

    Refuses missing columns, duplicates, strangers, missing units and values that are not finite.
    """
    at = f"{where}, fold {fold.name}"
    remedy = "hand in one row for every test unit of the fold, one column for every gene"
    missing = [name for name in ("slide", "cell_id", *fold.genes) if name not in table.columns]
    if missing:
        raise UserError(
            f"{len(missing)} columns missing, first {missing[0]!r}",
            where=at,
            expected="slide, cell_id and the fold's genes",
            remedy=remedy,
        )
    given = pd.MultiIndex.from_arrays([table["slide"].astype(str), table["cell_id"].astype(str)])
    if given.has_duplicates:
        raise UserError(
            f"duplicate rows, first {given[given.duplicated()][0]}", where=at, expected="each unit once", remedy=remedy
        )
    names = np.array([slide.slide for slide in store.slides])[store.slide_index[fold.test]]
    wanted = pd.MultiIndex.from_arrays([names, store.units["cell_id"].to_numpy()[fold.test]])
    strangers = given.difference(wanted)
    if len(strangers):
        raise UserError(
            f"{len(strangers)} rows are not test units, first {strangers[0]}",
            where=at,
            expected="only the fold's test units",
            remedy=remedy,
        )
    position = given.get_indexer(wanted)
    if np.any(position < 0):
        raise UserError(
            f"{np.sum(position < 0)} test units missing, first {wanted[position < 0][0]}",
            where=at,
            expected="every test unit",
            remedy=remedy,
        )
    columns = table[list(fold.genes)]
    try:
        values = columns.to_numpy(dtype=np.float32)[position]
    except (TypeError, ValueError):
        bad = next(name for name in fold.genes if not pd.api.types.is_numeric_dtype(columns[name]))
        raise UserError(f"column {bad!r} is not numeric", where=at, expected="numbers", remedy=remedy) from None
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0]
        raise UserError(
            f"{fold.genes[column]} of {wanted[row]} is {values[row, column]}",
            where=at,
            expected="finite numbers",
            remedy=remedy,
        )
    return values


def _blocks_per_slide(store: CohortStore, split: Split) -> Counter[str]:
    return Counter(slide.slide for fold in split.folds for slide in store.slides_of(fold.test))


def _blocks(
    store: CohortStore, split: Split, read_fold: FoldReader, where: str, truth: Path | None
) -> Iterator[ScoredBlock]:
    cell_ids = store.units["cell_id"].to_numpy()
    labels: dict[str, pd.Series] = {}
    if truth:
        labels = {slide.slide: rare_cells(truth, slide.slide) for slide in store.slides}
    for fold in split.folds:
        predicted = aligned(read_fold(fold), store, fold, where)
        trained = store.measured_genes(fold.train)
        index = store.slide_index[fold.test]
        for position in np.unique(index):
            slide, at = store.slides[position], np.flatnonzero(index == position)
            rows = fold.test[at]
            yield ScoredBlock(
                fold=fold.name,
                slide=slide.slide,
                patient=slide.patient or f"unknown patient of {slide.slide}",
                genes=fold.genes,
                cell_id=cell_ids[rows],
                xy_um=store.xy_um[rows],
                truth=store.targets(rows, fold.genes),
                predicted=predicted[at],
                scored=np.array([gene in slide.genes and gene in trained for gene in fold.genes]),
                rare_label=labels[slide.slide].loc[store.units["cell_id"].to_numpy()[rows]].to_numpy()
                if truth
                else None,
            )


def _hash_of_folds(manifest: dict[str, Any]) -> str:
    from hashlib import sha256

    return sha256("\n".join(f"{fold['name']} {fold['sha256']}" for fold in manifest["folds"]).encode()).hexdigest()


def metrics_of(record: ScoreRecord) -> dict[str, Any]:
    """The few numbers that ``dvc metrics show`` prints."""
    metrics = {"pearson": record.headline.mean, "low": record.headline.low, "high": record.headline.high}
    return metrics | {"spearman": record.summary.get("spearman_per_slide")}
