"""Checks that every reader of patients shares, and the plain tidy layout."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from protocols.errors import UserError
from protocols.readers.published_splits import published_fold
from protocols.splits import Exclusion
from protocols.survival.cohort import PatientCohort, PublishedFold, SlideFile
from protocols.survival.contract import GENOMIC_KINDS

DAYS_A_MONTH = 365.25 / 12
GENOMIC = re.compile(rf".+_({'|'.join(GENOMIC_KINDS)})")
SPLITS = re.compile(r"splits_([0-9]+)\.csv")
UNITS = {"months": 1.0, "days": 1 / DAYS_A_MONTH, "years": 12.0}


def assemble(
    name: str,
    outcome: pd.DataFrame,
    clinical: pd.DataFrame,
    genomic: pd.DataFrame,
    *,
    where: object,
    endpoint: str,
    signatures: dict[str, tuple[str, ...]] | None = None,
    slides: Iterable[SlideFile] = (),
    folds: tuple[PublishedFold, ...] | None = None,
    proteins: pd.DataFrame | None = None,
) -> PatientCohort:
    """A checked cohort from tables indexed by patient.

    ``outcome`` has columns time (months) and event (bool or 0/1). A patient whose time is not positive or whose
    outcome is missing is left out by name; anything that is not a number, a patient twice and a table of strangers
    are errors.
    """
    proteins = pd.DataFrame(index=outcome.index) if proteins is None else proteins
    tables = {"outcome": outcome, "clinical": clinical, "genomic": genomic, "proteins": proteins}
    for kind, table in tables.items():
        if table.index.has_duplicates:
            twice = table.index[table.index.duplicated()][0]
            raise UserError(
                f"patient {twice} twice in the {kind} table", where=where, expected="once", remedy="drop one"
            )
    values = pd.DataFrame({column: _numbers(outcome, column, where) for column in ("time", "event")})
    bad_event = values["event"].notna() & ~values["event"].isin([0, 1])
    if bad_event.any():
        first = values.index[bad_event][0]
        raise UserError(
            f"event of {first} is {values['event'][first]:g}",
            where=where,
            expected="1 (seen) or 0 (censored)",
            remedy="mend the table",
        )
    kept, excluded = values, []
    for reason, rows in (
        ("time or event is missing", values.isna().any(axis=1)),
        ("follow-up of no length", values["time"].notna() & (values["time"] <= 0)),
    ):
        excluded += [Exclusion(f"patient {patient}", reason) for patient in values.index[rows]]
        kept = kept.drop(index=values.index[rows], errors="ignore")
    if kept.empty:
        raise UserError("no patient with follow-up", where=where, expected="time > 0", remedy="check the table")
    kept = kept.sort_index()
    kept.index.name = "patient"
    return PatientCohort(
        name=name,
        outcome=pd.DataFrame({"time": kept["time"].astype(np.float64), "event": kept["event"].astype(bool)}),
        clinical=numeric_features(clinical, kept.index, "clinical", where).astype(np.float64),
        genomic=numeric_features(genomic, kept.index, "genomic", where).astype(np.float32),
        signatures=signatures or {},
        slides=tuple(sorted((s for s in slides if s.patient in kept.index), key=lambda s: (s.patient, s.slide))),
        folds=_folds_of(folds, set(kept.index), set(values.index), where),
        endpoint=endpoint,
        excluded=tuple(excluded),
        proteins=numeric_features(proteins, kept.index, "proteins", where).astype(np.float32),
    )


def _numbers(table: pd.DataFrame, column: str, where: object) -> pd.Series[float]:
    if column not in table.columns:
        raise UserError(f"no column {column!r}", where=where, expected="time and event", remedy="add it")
    return _numeric(table[column], column, where)


def _numeric(values: pd.Series[float], column: str, where: object) -> pd.Series[float]:
    found = pd.to_numeric(values, errors="coerce").astype(np.float64)
    lost = found.isna() & values.notna()
    if lost.any():
        first = values.index[lost][0]
        raise UserError(
            f"{column} of {first} is {values[first]!r}", where=where, expected="a number", remedy="mend the table"
        )
    if np.isinf(found).any():
        raise UserError(f"{column} is infinite", where=where, expected="finite numbers", remedy="mend the table")
    return found


def numeric_features(table: pd.DataFrame, patients: pd.Index[str], kind: str, where: object) -> pd.DataFrame:
    """Numeric columns in sorted order, one row a patient; a patient that the table lacks has only holes."""
    if len(table.columns) and not len(table.index.intersection(patients)):
        raise UserError(
            f"the {kind} table shares no patient with the outcomes",
            where=where,
            expected=f"patients such as {patients[0]}",
            remedy="use the same patient ids in both",
        )
    columns = {str(name): _numeric(table[name], str(name), where) for name in sorted(table.columns, key=str)}
    made = pd.DataFrame(columns, index=table.index).reindex(patients)
    made.index.name = "patient"
    return made


def _folds_of(
    folds: tuple[PublishedFold, ...] | None, kept: set[str], known: set[str], where: object
) -> tuple[PublishedFold, ...] | None:
    """Published folds without the patients that the cohort leaves out; strangers are an error."""
    if folds is None:
        return None
    for fold in folds:
        strangers = sorted({*fold.train, *fold.test} - known)
        if strangers:
            raise UserError(
                f"{len(strangers)} patients of fold {fold.name} are not in the tables, first {strangers[0]}",
                where=where,
                expected="the cohort that the split was made for",
                remedy="check splits and table",
            )
    return tuple(
        replace(fold, train=tuple(p for p in fold.train if p in kept), test=tuple(p for p in fold.test if p in kept))
        for fold in folds
    )


def read_signatures(path: Path) -> dict[str, tuple[str, ...]]:
    """One column a signature, gene symbols below its name; columns may differ in length."""
    table = read_csv(path, dtype=str)
    return {str(name): tuple(dict.fromkeys(table[name].dropna().str.strip())) for name in table.columns}


def read_splits(folder: Path) -> tuple[PublishedFold, ...]:
    """``splits_0.csv`` … with columns train and test or val, patients (or TCGA slides), padded with nothing."""
    return tuple(
        published_fold(path.stem.removeprefix("splits_"), read_csv(path, dtype=str), path)
        for path in split_files(folder)
    )


def split_files(folder: Path) -> list[Path]:
    """The files of :func:`read_splits` by number; others beside them (CLAM's ``splits_0_bool.csv``) are no folds."""
    numbered = [(SPLITS.fullmatch(path.name), path) for path in folder.glob("splits_*.csv")]
    files = [path for _, path in sorted((int(match[1]), path) for match, path in numbered if match)]
    if not files:
        raise UserError("no splits", where=folder, expected="splits_0.csv …", remedy="check the folder")
    return files


def read_slides(path: Path, root: Path) -> list[SlideFile]:
    """``slides.csv``: slide, patient, path (relative to ``root``), optional kind, encoder, mpp; every file there."""
    table = read_csv(path, dtype={"slide": str, "patient": str, "path": str})
    for column in ("slide", "patient", "path"):
        if column not in table.columns:
            raise UserError(f"no column {column!r}", where=path, expected="slide, patient, path", remedy="add it")
    if table["slide"].duplicated().any():
        twice = table.loc[table["slide"].duplicated(), "slide"].iloc[0]
        raise UserError(f"slide {twice} twice", where=path, expected="each once", remedy="drop one")
    found = []
    for row in table.to_dict("records"):
        kind, encoder, mpp = (row.get(key) for key in ("kind", "encoder", "mpp"))
        kind = "image" if kind is None or pd.isna(kind) else str(kind)
        if kind not in ("image", "bag"):
            raise UserError(
                f"kind {kind!r}", where=f"{path}, slide {row['slide']}", expected="image or bag", remedy="mend"
            )
        if kind == "bag" and (encoder is None or pd.isna(encoder)):
            raise UserError(
                "a bag without its encoder",
                where=f"{path}, slide {row['slide']}",
                expected="the encoder that made it",
                remedy="fill the column encoder",
            )
        if not (root / row["path"]).exists():
            raise UserError(
                "no such slide", where=root / row["path"], expected=f"slide {row['slide']}", remedy="fetch it"
            )
        found.append(
            SlideFile(
                slide=row["slide"],
                patient=row["patient"],
                path=row["path"],
                kind="bag" if kind == "bag" else "image",
                encoder=None if encoder is None or pd.isna(encoder) else str(encoder),
                mpp=None if mpp is None or pd.isna(mpp) else float(mpp),
            )
        )
    return found


def read_csv(path: Path, **options: object) -> pd.DataFrame:
    """A CSV that must exist, be readable and have rows."""
    try:
        table: pd.DataFrame = pd.read_csv(path, **options)  # type: ignore[call-overload]
    except FileNotFoundError:
        raise UserError("no such table", where=path, expected="a CSV file", remedy="check the path") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError, ValueError) as error:
        raise UserError(
            f"unreadable ({str(error).splitlines()[0]})", where=path, expected="a CSV file", remedy="mend the file"
        ) from None
    if table.empty:
        raise UserError("no rows", where=path, expected="one row a patient or slide", remedy="check the file")
    return table


def by_patient(path: Path) -> pd.DataFrame:
    """A CSV or Parquet table indexed by its column patient."""
    table = pd.read_parquet(path) if path.suffix == ".parquet" else read_csv(path, dtype={"patient": str})
    if "patient" not in table.columns:
        raise UserError("no column 'patient'", where=path, expected="one row a patient", remedy="add it")
    return table.set_index("patient")


def read_tidy(
    name: str,
    root: Path,
    *,
    outcome: str,
    clinical: str | None = None,
    genomic: str | None = None,
    proteins: str | None = None,
    slides: str | None = None,
    signatures: str | None = None,
    splits: str | None = None,
    endpoint: str = "overall survival",
) -> PatientCohort:
    """Plain tables, one row a patient: outcome (patient, time, event, optional unit), clinical, genomic,
    proteins (any numbers)."""
    follow_up = by_patient(root / outcome)
    if "unit" in follow_up.columns:
        unknown = sorted(set(follow_up["unit"]) - set(UNITS))
        if unknown:
            raise UserError(
                f"time unit {unknown[0]!r}", where=root / outcome, expected=", ".join(UNITS), remedy="convert it"
            )
        follow_up["time"] = follow_up["time"] * follow_up["unit"].map(UNITS)
    genes = by_patient(root / genomic) if genomic else pd.DataFrame(index=follow_up.index)
    refuse_bare_names(genes.columns, root / (genomic or ""))
    return assemble(
        name,
        follow_up[[column for column in ("time", "event") if column in follow_up.columns]],
        by_patient(root / clinical) if clinical else pd.DataFrame(index=follow_up.index),
        genes,
        where=root / outcome,
        endpoint=endpoint,
        signatures=read_signatures(root / signatures) if signatures else None,
        slides=read_slides(root / slides, root) if slides else (),
        folds=read_splits(root / splits) if splits else None,
        proteins=by_patient(root / proteins) if proteins else None,
    )


def refuse_bare_names(columns: Sequence[object] | pd.Index[str], where: object) -> None:
    """Genomic features say what they are: ``GENE_rnaseq``, ``GENE_cnv`` or ``GENE_mut``."""
    for name in columns:
        if not GENOMIC.fullmatch(str(name)):
            raise UserError(
                f"genomic column {name!r}",
                where=where,
                expected=" or ".join(f"GENE_{kind}" for kind in GENOMIC_KINDS),
                remedy="rename it, or move it to the clinical table",
            )
