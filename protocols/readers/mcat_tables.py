"""Tables in the layout of MCAT and PORPOISE: one row a slide, outcome, clinical and genomic columns side by side.

Columns are taken by name alone. The released code takes metadata by position, which drops the last gene and, in files
with a stray index column, leaves ``censorship`` or ``train`` among the features.
"""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np
import pandas as pd

from protocols.errors import UserError
from protocols.readers.patient_tables import GENOMIC, assemble, read_csv, read_signatures, read_slides, read_splits
from protocols.survival.cohort import PatientCohort

OUTCOME = ("survival_months", "censorship")
CLINICAL = ("age", "is_female", "stage", "grade")
"""Clinical variables, where a table has them."""
LABELS = ("case_id", "slide_id", "site", "oncotree_code", "train", *OUTCOME, *CLINICAL)
"""What is never a gene. ``train`` is a leftover of somebody's split, ``site`` the hospital."""


def read_mcat(
    name: str,
    root: Path,
    *,
    table: str,
    slides: str | None = None,
    signatures: str | None = None,
    splits: str | None = None,
    endpoint: str = "overall survival",
) -> PatientCohort:
    """A cohort from ``table`` (CSV, plain or zipped, whatever its name says).

    ``censorship`` is 1 where the patient is censored. A bare gene symbol whose values are 0 and 1 is a mutation and
    becomes ``GENE_mut``; other columns that are neither known labels nor ``GENE_rnaseq``, ``_cnv``, ``_mut`` are an
    error. A patient's slides must agree on every value.
    """
    path = root / table
    rows = read_table(path)
    for column in ("case_id", *OUTCOME):
        if column not in rows.columns:
            raise UserError(
                f"no column {column!r}", where=path, expected="case_id, survival_months, censorship", remedy="add it"
            )
    rows = rows.loc[:, [name for name in rows.columns if not str(name).startswith("Unnamed") and name != "index"]]
    patients = _one_row_a_patient(rows, path)
    genomic = _genomic(patients, path)
    clinical = patients[[column for column in CLINICAL if column in patients.columns]]
    outcome = pd.DataFrame(
        {"time": patients["survival_months"], "event": 1 - pd.to_numeric(patients["censorship"], errors="coerce")}
    )
    return assemble(
        name,
        outcome,
        clinical,
        genomic,
        where=path,
        endpoint=endpoint,
        signatures=read_signatures(root / signatures) if signatures else None,
        slides=read_slides(root / slides, root) if slides else (),
        folds=read_splits(root / splits) if splits else None,
    )


def read_table(path: Path) -> pd.DataFrame:
    """The CSV inside ``path``: zipped or plain by its bytes, not by its name."""
    if path.exists() and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/")]
            if len(names) != 1:
                raise UserError(f"{len(names)} files inside", where=path, expected="one table", remedy="zip one CSV")
            try:
                with archive.open(names[0]) as file:
                    table: pd.DataFrame = pd.read_csv(file, dtype={"case_id": str, "slide_id": str}, low_memory=False)
            except (
                zipfile.BadZipFile,
                zlib.error,
                OSError,
                EOFError,
                UnicodeDecodeError,
                pd.errors.ParserError,
            ) as error:
                raise UserError(
                    f"damaged ({type(error).__name__})", where=path, expected="a whole zip", remedy="fetch it again"
                ) from None
        return table
    return read_csv(path, dtype={"case_id": str, "slide_id": str}, low_memory=False, compression=None)


def _one_row_a_patient(rows: pd.DataFrame, path: Path) -> pd.DataFrame:
    """The first row of each patient, once all of their rows were found to agree."""
    repeated = rows[rows["case_id"].duplicated(keep=False)]
    for column in OUTCOME:
        differing = repeated.groupby("case_id")[column].nunique(dropna=False)
        if (differing > 1).any():
            patient = differing.index[differing > 1][0]
            raise UserError(
                f"the slides of {patient} disagree on {column}",
                where=path,
                expected="one outcome a patient",
                remedy="mend the table",
            )
    return rows.drop_duplicates("case_id").set_index("case_id")


def _genomic(patients: pd.DataFrame, path: Path) -> pd.DataFrame:
    columns, values = [], []
    for name in patients.columns:
        if name in LABELS:
            continue
        column = patients[name]
        if GENOMIC.fullmatch(str(name)):
            columns.append(str(name))
        elif pd.api.types.is_numeric_dtype(column) and column.dropna().isin([0, 1]).all():
            columns.append(f"{name}_mut")
        else:
            raise UserError(
                f"column {name!r} is neither a label nor a gene",
                where=path,
                expected="GENE_rnaseq, GENE_cnv, GENE_mut or a mutation of 0 and 1",
                remedy="drop or rename it",
            )
        values.append(column.to_numpy())
    if len(set(columns)) < len(columns):
        twice = sorted({name for name in columns if columns.count(name) > 1})[0]
        raise UserError(f"feature {twice} twice", where=path, expected="each once", remedy="drop one")
    table = np.column_stack(values) if values else np.zeros((len(patients), 0))
    return pd.DataFrame(table, index=patients.index, columns=columns)
