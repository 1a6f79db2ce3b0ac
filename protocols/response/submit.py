"""A stranger's table of probabilities, laid out as a model's own answers: patient and probability are enough."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from protocols import declared
from protocols.declared import empty_rows
from protocols.errors import UserError
from protocols.response.answers import aligned, fold_file
from protocols.response.store import ResponseStore
from protocols.task import Question

COLUMNS = ("patient", "probability")


def lay_out(question: Question, table: pd.DataFrame, folder: Path, where: str) -> None:
    """One file a fold. Each patient is tested in one fold, so a column ``fold`` is not needed; one that is there must
    say the fold in which that patient is tested. A patient whose row has no probability is declared missing."""
    store: ResponseStore = question.cohort.store
    at = f"{where}, {question.board.name}"
    for name in COLUMNS:
        if name not in table.columns:
            raise UserError(f"no column {name!r}", where=at, expected=", ".join(COLUMNS), remedy="add it")
    if table["patient"].isna().any():
        raise UserError("a row without patient", where=at, expected="every row whole", remedy="fill it in")
    fold_of = {store.patients[row]: fold.name for fold in question.split.folds for row in fold.test.tolist()}
    table = table.assign(patient=table["patient"].astype(str))
    if table["probability"].isna().all():
        table = table.assign(probability=table["probability"].astype(np.float64))
    missing_of = empty_rows(table[["probability"]], table["patient"].tolist())
    table = aligned(table, list(fold_of), at, missing_of)
    folds = table["patient"].map(fold_of)
    if "fold" in table.columns:
        other = table["fold"].astype(str) != folds
        if other.any():
            row = table[other].iloc[0]
            raise UserError(
                f"{row['patient']} in fold {row['fold']!r}", where=at, expected=f"fold {fold_of[row['patient']]}",
                remedy="ask each model for the patients that it was not trained on: `slide2omics units response`",
            )  # fmt: skip
    missing = {}
    for number, fold in enumerate(question.split.folds):
        part = table.loc[folds == fold.name, list(COLUMNS)]
        missing[fold.name] = frozenset(missing_of & set(part["patient"]))
        part.to_parquet(folder / fold_file(number), compression="zstd", index=False)
    declared.write(folder, missing, len(table), at)
