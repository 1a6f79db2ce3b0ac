"""The tables of ``slide2omics signature``: expression, outcome, covariates (CSV or Parquet), and lists of genes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from protocols.errors import UserError
from protocols.metrics.concordance import Bool, Float
from protocols.readers.patient_tables import by_patient, read_tidy

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class CohortFiles:
    """Where one cohort's tables lie. ``log2``: its expression is to be taken as log2(v + 1)."""

    name: str
    expression: Path
    outcome: Path
    covariates: Path | None = None
    log2: bool = False


@dataclass(frozen=True)
class Patients:
    """One cohort in memory: rows of all parts are the same patients, sorted by name; time in months."""

    name: str
    expression: pd.DataFrame
    time: Float
    event: Bool
    covariates: pd.DataFrame | None
    notes: tuple[str, ...]


def read_patients(files: CohortFiles) -> Patients:
    """The patients of a cohort that have both follow-up and expression; the rest are counted in a note."""
    follow_up = read_tidy(
        files.name, files.outcome.parent, outcome=files.outcome.name, endpoint="as in the table"
    )  # fmt: skip
    expression = read_expression(files.expression, files.log2)
    outcome = follow_up.outcome
    both = [patient for patient in outcome.index if patient in expression.index]
    if not both:
        raise UserError(
            "no patient has both expression and outcome",
            where=files.expression,
            expected=f"patients such as {outcome.index[0]}",
            remedy="use the same patient ids in both",
        )
    notes = [f"{files.name}: {item.what} left out: {item.reason}" for item in follow_up.excluded]
    alone = {"expression": len(outcome) - len(both), "outcome": len(expression) - len(both)}
    notes += [f"{files.name}: {number} patients without {what}" for what, number in alone.items() if number]
    covariates = None
    if files.covariates is not None:
        table = _table(files.covariates)
        covariates = table.reindex(both)
    kept = outcome.loc[both]
    return Patients(
        files.name,
        expression.loc[both],
        kept["time"].to_numpy(dtype=np.float64),
        kept["event"].to_numpy(dtype=bool),
        covariates,
        tuple(notes),
    )


def read_genes(path: Path) -> tuple[str, ...]:
    """Gene symbols, one a line, each once; empty lines and what follows ``#`` do not count."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, IsADirectoryError, UnicodeDecodeError):
        raise UserError("no such list of genes", where=path, expected="a symbol a line", remedy="check it") from None
    found = tuple(dict.fromkeys(symbol for line in lines if (symbol := line.split("#")[0].strip().strip(","))))
    if not found:
        raise UserError("no gene", where=path, expected="a symbol a line", remedy="check the file")
    return found


def with_expression(cohort: Patients, expression: pd.DataFrame) -> Patients:
    """The cohort with another expression table of some of its patients."""
    at = cohort.expression.index.get_indexer(expression.index)
    covariates = None if cohort.covariates is None else cohort.covariates.iloc[at]
    return Patients(cohort.name, expression, cohort.time[at], cohort.event[at], covariates, cohort.notes)


def _table(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise UserError("no such table", where=path, expected="a CSV or Parquet file", remedy="check the path")
    table = by_patient(path)
    table.index = table.index.astype(str)
    if table.index.has_duplicates:
        twice = table.index[table.index.duplicated()][0]
        raise UserError(f"patient {twice} twice", where=path, expected="one row a patient", remedy="drop or average")
    return table


def read_expression(path: Path, log2: bool = False) -> pd.DataFrame:
    """Patients × genes, float64. Repeated symbols are refused: a reader cannot know which one is meant."""
    import pandas as pd

    table = _table(path)
    text = [str(name) for name in table.columns if not pd.api.types.is_numeric_dtype(table[name])]
    if text:
        raise UserError(f"column {text[0]!r} is no number", where=path, expected="genes alone", remedy="drop it")
    if log2 and (table.to_numpy() < 0).any():
        raise UserError("values below zero", where=path, expected="v of log2(v + 1)", remedy="do not ask for log2")
    values = table.to_numpy(dtype=np.float64)
    return pd.DataFrame(np.log2(values + 1) if log2 else values, index=table.index, columns=table.columns)
