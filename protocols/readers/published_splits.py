"""A published fold as it was written down: who its names are, and what is wrong with it.

The 65 files of MICA (13 TCGA cohorts, five folds each) name slides where its own reader expects patients
(``TCGA-AA-1234-01Z-00-DX1.….svs``), all slides of a patient to train on and one to validate with, and repeat the
validation column as test. Such files are read, as patients, and their faults go along for the audit to tell.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from protocols.errors import UserError
from protocols.survival.cohort import PublishedFold

SLIDE = re.compile(r".+\.(svs|tiff?|ndpi|mrxs)", re.IGNORECASE)
BARCODE = re.compile(r"TCGA-[A-Z0-9]{2}-[A-Z0-9]{4}(?=[-.])")
"""The part of a TCGA slide's name that is the patient."""


def published_fold(name: str, table: pd.DataFrame, where: Path) -> PublishedFold:
    """One fold from columns train and test (or val; of both test counts), names of patients or of TCGA slides.

    A slide whose name holds no TCGA barcode is a :class:`~protocols.errors.UserError`: its patient is not known.
    """
    tested = "test" if "test" in table.columns and table["test"].notna().any() else "val"
    for column in ("train", tested):
        if column not in table.columns:
            raise UserError(f"no column {column!r}", where=where, expected="train and val", remedy="add it")
    members = {column: table[column].dropna().tolist() for column in ("train", tested)}
    patients = {column: patients_of(names, where) for column, names in members.items()}
    faults = [_slides(members, patients), _validation(table, tested)]
    return PublishedFold(name, patients["train"], patients[tested], tuple(fault for fault in faults if fault))


def patients_of(names: Sequence[str], where: object) -> tuple[str, ...]:
    """The patients behind names of patients or slides, each once, sorted."""
    return tuple(sorted({_patient(name, where) for name in names}))


def _patient(name: str, where: object) -> str:
    if not SLIDE.fullmatch(name):
        return name
    match = BARCODE.match(name)
    if match is None:
        raise UserError(
            f"{name!r} is a slide's name", where=where, expected="patients, or slides with TCGA barcodes",
            remedy="write the patient instead",
        )  # fmt: skip
    return match[0]


def _slides(members: dict[str, list[str]], patients: dict[str, tuple[str, ...]]) -> str:
    found = [
        f"{sum(SLIDE.fullmatch(name) is not None for name in names)} of {column} are slides of {len(patients[column])}"
        for column, names in members.items()
        if any(SLIDE.fullmatch(name) for name in names)
    ]
    return f"names slides where patients are meant ({' patients, '.join(found)} patients)" if found else ""


def _validation(table: pd.DataFrame, tested: str) -> str:
    if tested != "test" or "val" not in table.columns or set(table["val"].dropna()) != set(table["test"].dropna()):
        return ""
    return "validation equals test: what was chosen on it was chosen on the patients that are reported"
