"""What ``slide2omics niches`` reads: tables of cells, a manifest of them with patients, outcomes of the patients.

A table is text (CSV or tab separated, plain or gzip) or Parquet, one row a cell, one column a marker, as MCMICRO,
scimap and QuPath write them. Its coordinates are named, or found under one of the names those programs use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from protocols.errors import UserError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

Float = NDArray[np.float64]
MANIFEST = ("slide", "patient", "table")
COORDINATES = (
    ("X_centroid", "Y_centroid"),
    ("X_position", "Y_position"),
    ("Centroid X µm", "Centroid Y µm"),
    ("CellX", "CellY"),
    ("x", "y"),
)
"""MCMICRO, scimap's example, QuPath, Visium-like exports, anybody."""
IN_UM = ("Centroid X µm",)
"""Columns that say themselves that they are micrometres."""
NO_MARKER = (
    "index", "slide", "sample", "imageid", "image", "object id", "cellid", "cell_id", "label", "area",
    "majoraxislength", "minoraxislength", "eccentricity", "solidity", "extent", "orientation", "phenotype", "cell_type",
    "leiden", "roi",
)  # fmt: skip
"""Columns of those programs that are no markers, in lower case; what is not a number is none either."""


@dataclass(frozen=True, eq=False)
class CellTable:
    """One slide: ``xy`` in µm ``(n, 2)``, ``values`` as the table has them ``(n, k)``, and what was noticed."""

    slide: str
    patient: str
    xy: Float
    values: Float
    markers: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Columns:
    """Names that the user gives: coordinates (both or none) and micrometres per unit of them."""

    x: str | None = None
    y: str | None = None
    mpp: float | None = None


def is_manifest(path: Path) -> bool:
    """Whether a table names tables (slide, patient, table) and not cells."""
    return set(MANIFEST) <= set(_frame(path, rows=0).columns)


def read_manifest(path: Path) -> list[tuple[str, str, Path]]:
    """Slide, patient and table (relative to the manifest's folder), one a line, every file there."""
    table = _frame(path).astype(str)
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
    return found


def read_cells(path: Path, *, slide: str, patient: str, markers: Sequence[str] | None, columns: Columns) -> CellTable:
    """One table; ``markers`` None: every numeric column that is neither coordinate nor shape.

    A cell without a place, or with a value that is not a finite number, is dropped and counted in a note.
    """
    import pandas as pd

    table = _frame(path)
    x, y = _coordinates(table, columns, path)
    if markers is None:
        numeric = [str(name) for name in table.columns if pd.api.types.is_numeric_dtype(table[name])]
        known = {*NO_MARKER, x.lower(), y.lower(), *(name.lower() for pair in COORDINATES for name in pair)}
        markers = [name for name in numeric if name.lower() not in known and not name.startswith("Unnamed")]
    for name in markers:
        if name not in table.columns:
            remedy = did_you_mean(name, map(str, table.columns))
            raise UserError(f"no column {name!r}", where=path, expected="a marker", remedy=remedy)
    if not markers:
        raise UserError("no marker", where=path, expected="a numeric column a marker", remedy="name them")
    mpp = columns.mpp if columns.mpp is not None else 1.0 if x in IN_UM else None
    if mpp is None:
        raise UserError(
            f"coordinates {x}, {y} are of unknown unit", where=path, expected="micrometres per unit",
            remedy="give --mpp, 1 where they are micrometres",
        )  # fmt: skip
    xy = _numbers(table, [x, y]) * mpp
    values = _numbers(table, markers)
    whole = np.isfinite(xy).all(axis=1) & np.isfinite(values).all(axis=1)
    notes = [f"{slide}: {int((~whole).sum())} of {len(table)} cells dropped, a place or a value missing"]
    if whole.sum() < 2:
        raise UserError("fewer than two whole cells", where=path, expected="cells with values", remedy="check it")
    kept = tuple(notes) if not whole.all() else ()
    return CellTable(slide, patient, xy[whole], values[whole], tuple(markers), kept)


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
    table = _frame(path)
    if "patient" not in table.columns:
        raise UserError("no column 'patient'", where=path, expected="one row a patient", remedy="add it")
    table["patient"] = table["patient"].astype(str)
    if table["patient"].duplicated().any():
        twice = table.loc[table["patient"].duplicated(), "patient"].iloc[0]
        raise UserError(f"patient {twice} twice", where=path, expected="one row a patient", remedy="drop one")
    return table.set_index("patient")


def _coordinates(table: pd.DataFrame, columns: Columns, path: Path) -> tuple[str, str]:
    known = [pair for pair in COORDINATES if set(pair) <= set(table.columns)]
    if columns.x is None and columns.y is None and known:
        return known[0]
    x, y = columns.x or "", columns.y or ""
    for name in (x, y):
        if name not in table.columns:
            raise UserError(
                f"no column {name!r} of coordinates" if name else "coordinates not found", where=path,
                expected="columns such as X_centroid, Y_centroid", remedy="name them by --x-column and --y-column",
            )  # fmt: skip
    return x, y


def _numbers(table: pd.DataFrame, names: Sequence[str]) -> Float:
    import pandas as pd

    return np.stack([pd.to_numeric(table[name], errors="coerce").to_numpy(np.float64) for name in names], axis=1)


def _frame(path: Path, rows: int | None = None) -> pd.DataFrame:
    import pandas as pd

    if not path.is_file():
        raise UserError("no such table", where=path, expected="CSV, TSV or Parquet", remedy="check the path")
    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        kind = "\t" if ".tsv" in path.suffixes or path.suffix == ".txt" else ","
        table = pd.read_csv(path, sep=kind, nrows=rows, encoding="utf-8-sig", dtype={"slide": str, "patient": str})
    except (ValueError, OSError, UnicodeDecodeError) as error:
        said = str(error).splitlines()[0]
        raise UserError(
            f"not readable ({said})", where=path, expected="CSV, TSV or Parquet", remedy="save it so"
        ) from None
    return table
