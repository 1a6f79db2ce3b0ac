"""A stranger's table of risks, laid out as a model's own answers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from protocols import declared
from protocols.declared import empty_rows
from protocols.errors import UserError, look_up
from protocols.protocol import Board
from protocols.survival.answers import aligned, fold_file, is_curve
from protocols.survival.store import PatientStore
from protocols.task import CohortRequest, Question

SAME_AS = {"case_id": "patient", "risk_score": "risk"}
"""Column names of published tables, and what they mean here."""
COLUMNS = ("cohort", "fold", "patient", "risk")


def boards_in(
    table: pd.DataFrame, boards: Mapping[str, Board], _cohorts: Mapping[str, CohortRequest], where: str
) -> dict[str, pd.DataFrame]:
    """Rows by cohort. Every cohort that occurs must be there whole; the others count as not handed in."""
    table = table.rename(columns={old: new for old, new in SAME_AS.items() if new not in table.columns})
    for name in COLUMNS:
        if name not in table.columns:
            raise UserError(f"no column {name!r}", where=where, expected=", ".join(COLUMNS), remedy="add it")
        if name != "risk" and table[name].isna().any():
            raise UserError(f"a row without {name}", where=where, expected="every row whole", remedy="fill it in")
    found = {}
    for name, part in table.groupby(table["cohort"].astype(str), sort=True):
        look_up(str(name), boards, kind="cohort", where=where)
        found[str(name)] = part
    return found


def lay_out(question: Question, table: pd.DataFrame, folder: Path, where: str) -> None:
    """One file a fold; a fold that is not there, or holds others than its test patients, is refused.

    A patient whose row has no risk (and no curve) is declared missing.
    """
    store: PatientStore = question.cohort.store
    folds = {fold.name: fold for fold in question.split.folds}
    labels, at = table["fold"].astype(str), f"{where}, {question.board.name}"
    for label in labels.unique():
        look_up(label, folds, kind="fold", where=at)
    # What else a table holds is not ours to keep: answers have the columns that a model's have.
    kept = [name for name in table.columns if name in ("patient", "risk") or is_curve(name)]
    missing = {}
    for number, fold in enumerate(question.split.folds):
        part = table.loc[labels == fold.name, kept]
        if not len(part):
            raise UserError(f"no row for fold {fold.name!r}", where=at, expected="every fold", remedy="predict it too")
        missing[fold.name] = empty_rows(part.drop(columns="patient"), part["patient"].astype(str).tolist())
        part = part.assign(risk=part["risk"].astype(np.float64)) if part["risk"].isna().all() else part
        patients = [store.patients[row] for row in fold.test]
        ordered = aligned(part, patients, f"{at}, fold {fold.name}", missing[fold.name])
        ordered.to_parquet(folder / fold_file(number), compression="zstd", index=False)
    declared.write(folder, missing, sum(len(fold.test) for fold in question.split.folds), at)
