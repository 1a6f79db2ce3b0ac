"""What ``slide2omics niches`` reads: tables of cells, a manifest of them with patients, outcomes of the patients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from protocols.errors import UserError, did_you_mean
from protocols.readers.cell_table import read_cell_table
from protocols.readers.patient_tables import by_patient, read_csv

if TYPE_CHECKING:
    import pandas as pd

Float = NDArray[np.float64]
MANIFEST = ("slide", "patient", "table")


@dataclass(frozen=True, eq=False)
class SlideCells:
    """One slide: ``xy`` in µm ``(n, 2)``, ``values`` as the table has them ``(n, k)``, and what was noticed."""

    slide: str
    patient: str
    xy: Float
    values: Float
    markers: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Columns:
    """What the user says of a table: columns of positions, and micrometres per unit of them."""

    x: str = ""
    y: str = ""
    mpp: float | None = None


def is_manifest(path: Path) -> bool:
    """Whether a table names tables (slide, patient, table) and not cells."""
    return set(MANIFEST) <= set(read_csv(path, nrows=1, encoding="latin-1").columns)


def read_manifest(path: Path) -> list[tuple[str, str, Path]]:
    """Slide, patient and table (relative to the manifest's folder), one a line, every file there."""
    table = read_csv(path, dtype=str)
    found = [(str(r["slide"]), str(r["patient"]), path.parent / str(r["table"])) for r in table.to_dict("records")]
    slides = [slide for slide, _, _ in found]
    if not found or len(set(slides)) < len(slides):
        raise UserError("no slide, or one twice", where=path, expected="each slide once", remedy="mend the manifest")
    for slide, patient, one in found:
        if not one.is_file():
            raise UserError(
                f"slide {slide}: no table {one.name}", where=path, expected=str(one), remedy="mend the path"
            )
        if patient in ("", "nan"):
            raise UserError(f"slide {slide} has no patient", where=path, expected="whose it is", remedy="fill it in")
    return sorted(found, key=lambda one: one[1])  # slides of a patient follow each other


def read_cells(path: Path, *, slide: str, patient: str, markers: Sequence[str], columns: Columns) -> SlideCells:
    """One table, read and checked as a cohort's is; no ``markers``: those that the reader finds."""
    table = read_cell_table(path, x_column=columns.x, y_column=columns.y, markers=markers)
    if table.unit != "um" and columns.mpp is None:
        raise UserError(
            f"positions are in {table.unit}", where=path, expected="micrometres per unit of them",
            remedy="give --mpp, 1 where they are micrometres",
        )  # fmt: skip
    xy = table.xy if columns.mpp is None else table.xy * columns.mpp
    notes = tuple(f"{slide}: {note}" for note in table.notes)
    return SlideCells(slide, patient, xy, table.intensities.astype(np.float64), table.markers, notes)


def read_response(path: Path, column: str) -> pd.Series[bool]:
    """Response (0 or 1) by patient; patients without one are left out."""
    table = _by_patient(path)
    if column not in table.columns:
        remedy = did_you_mean(column, map(str, table.columns))
        raise UserError(f"no column {column!r}", where=path, expected="the response, 0 or 1", remedy=remedy)
    values = table[column].dropna()
    if not values.isin([0, 1]).all():
        bad = values[~values.isin([0, 1])].iloc[0]
        raise UserError(f"response {bad!r}", where=path, expected="0 or 1", remedy="code it so")
    return values.astype(bool)


def read_follow_up(path: Path, time: str, event: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Columns time and event by patient, and who was left out. Time in any one unit: ratios do not depend on it."""
    table = _by_patient(path)
    for name in (time, event):
        if name not in table.columns:
            remedy = did_you_mean(name, map(str, table.columns))
            raise UserError(f"no column {name!r}", where=path, expected="time and event", remedy=remedy)
    values = table[[time, event]].set_axis(["time", "event"], axis=1)
    whole = values.dropna()
    if not whole["event"].isin([0, 1]).all():
        bad = whole["event"][~whole["event"].isin([0, 1])].iloc[0]
        raise UserError(f"event {bad!r}", where=path, expected="1 seen, 0 censored", remedy="code it so")
    kept = whole[whole["time"] > 0]
    lost = len(values) - len(kept)
    return kept, (f"{lost} patients without follow-up left out",) if lost else ()


def _by_patient(path: Path) -> pd.DataFrame:
    table = by_patient(path)
    if table.index.has_duplicates:
        twice = table.index[table.index.duplicated()][0]
        raise UserError(f"patient {twice} twice", where=path, expected="one row a patient", remedy="drop one")
    return table
