"""A stranger's table of expression, laid out as a model's own answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from protocols import declared
from protocols.declared import empty_rows
from protocols.errors import UserError, look_up
from protocols.expression.answers import aligned, external_folder, fold_file, unit_names
from protocols.expression.asked import asked_of
from protocols.expression.store import CohortStore
from protocols.float32 import refuse_lost
from protocols.splits import Fold
from protocols.task import Question


def lay_out(question: Question, table: pd.DataFrame, folder: Path, where: str) -> None:
    """One file a fold, or one of an external cohort. Columns: fold (needed where a unit is tested in several folds),
    slide, cell_id, one a gene."""
    asked = asked_of(question)
    store: CohortStore = asked.store
    parts = _by_fold(table.drop(columns="cohort", errors="ignore"), store, asked.folds, where)
    missing: dict[str, frozenset[str]] = {}
    files = folder / external_folder(store.info.name) if asked.external else folder
    files.mkdir(parents=True, exist_ok=True)
    for number, fold in enumerate(asked.folds):
        if fold.name not in parts:
            raise UserError(
                f"no row for fold {fold.name!r}", where=where, expected="every fold", remedy="predict it too"
            )
        part = parts[fold.name]
        there = [gene for gene in fold.genes if gene in part.columns]
        missing[fold.name] = empty_rows(part[there], unit_names(part)) if there else frozenset()
        if missing[fold.name]:  # a column of nothing is read as objects
            empty = [gene for gene in there if part[gene].isna().all()]
            part = part.assign(**{gene: part[gene].astype(np.float64) for gene in empty})
        aligned(part, store, fold, where, missing[fold.name])  # refused here, before anything is scored
        kept = part[["slide", "cell_id", *fold.genes]]
        refuse_lost(kept[list(fold.genes)].to_numpy(), fold.genes, f"{where}, fold {fold.name}")
        kept.to_parquet(files / fold_file(number), compression="zstd", index=False)
    declared.write(folder, missing, sum(len(fold.test) for fold in asked.folds), where)


def _by_fold(table: pd.DataFrame, store: CohortStore, folds: tuple[Fold, ...], where: str) -> dict[str, pd.DataFrame]:
    for name in ("slide", "cell_id"):
        if name not in table.columns:
            raise UserError(f"no column {name!r}", where=where, expected="slide, cell_id, genes", remedy="add it")
    table = table.assign(slide=table["slide"].astype(str), cell_id=table["cell_id"].astype(str))
    if "fold" in table.columns:
        for name in table["fold"].astype(str).unique():
            look_up(name, {fold.name: fold for fold in folds}, kind="fold", where=where)
        return {str(name): part for name, part in table.groupby(table["fold"].astype(str), observed=True)}
    fold_of = _fold_of_unit(store, folds)
    given = pd.MultiIndex.from_frame(table[["slide", "cell_id"]])
    strangers = ~given.isin(list(fold_of))
    if strangers.any():
        raise UserError(
            f"{strangers.sum()} rows are not test units, first {given[strangers][0]}",
            where=where,
            expected="only test units",
            remedy="see `slide2omics units` for the list",
        )
    return {str(name): part for name, part in table.groupby([fold_of[unit] for unit in given])}


def _fold_of_unit(store: CohortStore, folds: tuple[Fold, ...]) -> dict[tuple[str, str], str]:
    cell_ids = store.units["cell_id"].to_numpy()
    return {
        (store.slides[store.slide_index[row]].slide, cell_ids[row]): fold.name for fold in folds for row in fold.test
    }
