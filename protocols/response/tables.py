"""Reads a cohort of treated patients from plain tables, one row a patient."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from protocols.errors import UserError
from protocols.readers.patient_tables import by_patient, numeric_features
from protocols.response.cohort import ResponseCohort
from protocols.splits import Exclusion

CODES = {"0": False, "1": True, "0.0": False, "1.0": True}


def read_tidy(
    name: str,
    root: Path,
    *,
    outcome: str,
    clinical: str | None = None,
    proteins: str | None = None,
    endpoint: str = "response",
) -> ResponseCohort:
    """``outcome``: patient, response (1: responded, 0: did not; empty: left out by name). The others: patient, numbers.

    Any other coding is refused, and so are a patient twice, a table of strangers and what is not a number.
    """
    where = root / outcome
    told = _one_row_each(by_patient(where), where)
    if "response" not in told.columns:
        raise UserError("no column 'response'", where=where, expected="patient and response (0 or 1)", remedy="add it")
    given = told["response"]
    codes = given.map(lambda value: None if pd.isna(value) else CODES.get(str(value).strip(), value))
    odd = given[~codes.map(lambda value: value is None or isinstance(value, bool))]
    if len(odd):
        raise UserError(
            f"response of {odd.index[0]} is {str(odd.iloc[0])!r}", where=where, expected="1 (responded) or 0 (did not)",
            remedy="write the table with these two codes; leave out who cannot be judged",
        )  # fmt: skip
    left_out = given.isna()
    kept = codes[~left_out].astype(bool).sort_index()
    if kept.empty:
        raise UserError("no patient with a response", where=where, expected="0 or 1", remedy="check the table")
    kept.index.name = "patient"
    tables = {
        kind: _features(root, file, kept.index, kind) for kind, file in (("clinical", clinical), ("proteins", proteins))
    }
    excluded = tuple(Exclusion(f"patient {one}", "response is missing") for one in sorted(given.index[left_out]))
    return ResponseCohort(name, pd.DataFrame({"response": kept}), **tables, endpoint=endpoint, excluded=excluded)


def _features(root: Path, file: str | None, patients: pd.Index[str], kind: str) -> pd.DataFrame:
    if file is None:
        return pd.DataFrame(index=patients)
    where = root / file
    return numeric_features(_one_row_each(by_patient(where), where), patients, kind, where)


def _one_row_each(table: pd.DataFrame, where: Path) -> pd.DataFrame:
    if table.index.hasnans:
        raise UserError("a row without patient", where=where, expected="a patient in every row", remedy="fill it in")
    if table.index.has_duplicates:
        twice = table.index[table.index.duplicated()][0]
        raise UserError(f"patient {twice} twice", where=where, expected="one row a patient", remedy="drop one")
    return table
