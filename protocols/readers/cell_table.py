"""Tables of cells of CyCIF, CODEX, Orion and mIF: one row a cell, its place, its markers, perhaps its annotation."""

from __future__ import annotations

import csv
import gzip
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.errors import UserError, did_you_mean
from protocols.readers import checks
from protocols.readers.cell_layouts import CELL_TYPES, PARTS, QUPATH, Layout, XyUnit, known_layout, like_markers
from protocols.readers.intensities import checked_intensities, marker_names

SEPARATORS = (",", "\t", ";")
DECIMAL_COMMA = re.compile(r"\s*-?\d+,\d+\s*")


@dataclass(frozen=True, eq=False)
class CellTable:
    """Cells of one slide: ``ids`` ``(n,)`` unique; ``xy`` float64 ``(n, 2)`` in ``unit``; ``intensities`` float32
    ``(n, markers)``, finite, 0 or more, as the file has them; ``cell_type`` ``(n,)``, "" where there is none, or None.
    ``notes``: what was taken for what, and what was left out.
    """

    ids: NDArray[np.str_]
    xy: NDArray[np.float64]
    unit: XyUnit
    markers: tuple[str, ...]
    intensities: NDArray[np.float32]
    cell_type: NDArray[np.str_] | None
    notes: tuple[str, ...]
    span: str = ""
    """The note on the range of the intensities."""


def read_cell_table(
    path: Path,
    *,
    id_column: str = "",
    x_column: str = "",
    y_column: str = "",
    xy_unit: XyUnit | None = None,
    markers: Sequence[str] = (),
    cell_type_column: str = "",
) -> CellTable:
    """One table, CSV or TSV, gzipped or not; no image is asked for.

    Columns that nobody names are those of a known layout (MCMICRO, scimap, QuPath), which the notes then say; without
    an id, cells are numbered from 1. ``markers``: columns, or QuPath's markers; else by :func:`like_markers`. A table
    whose header names a column twice, with decimal commas, without rows, whose positions do not vary, or whose
    intensities are negative or not finite is a :class:`UserError`.
    """
    frame = read_frame(path)
    columns = [str(name) for name in frame.columns]
    layout = known_layout(columns)
    x, y = x_column or (layout.x if layout else ""), y_column or (layout.y if layout else "")
    if not (x and y):
        raise UserError(
            "no known columns of positions", where=path, expected="X_centroid, X_position, Centroid X µm or x",
            remedy=f"name them in the options x_column and y_column; the table has {', '.join(columns[:8])}, ...",
        )  # fmt: skip
    for name in filter(None, (id_column, x, y, cell_type_column)):
        _require(name, columns, path)
    notes = [f"positions are {x}, {y}"] if layout is None or (x, y) != (layout.x, layout.y) else [_said(layout)]
    xy = np.stack([positions(frame, name, path) for name in (x, y)], axis=1)
    ids, id_name, id_notes = _ids(frame, id_column, layout, path)
    type_name = cell_type_column or next((name for name in CELL_TYPES if name in columns), "")
    chosen, marker_notes = _markers(frame, markers, (id_name, x, y, type_name), path)
    values, span = checked_intensities(
        frame[list(chosen.values())].to_numpy(), marker_names(list(chosen), where=path), where=path
    )
    if type_name and not cell_type_column:
        notes.append(f"cell types are of the column {type_name}")
    kinds = cell_types(frame[type_name]) if type_name else None
    unit = xy_unit or (layout.unit if layout and (x, y) == (layout.x, layout.y) else "px")
    return CellTable(ids, xy, unit, tuple(chosen), values, kinds, (*notes, *id_notes, *marker_notes), span)


def read_frame(path: Path) -> pd.DataFrame:
    """The table with its header as it is written; its separator is the one that splits the header most."""
    checks.require_file(path, "table")
    for encoding in ("utf-8-sig", "latin-1"):  # QuPath on Windows writes µ in the latter
        try:
            return _frame(path, encoding)
        except UnicodeDecodeError:
            continue
        except (OSError, EOFError, pd.errors.ParserError, csv.Error) as error:
            raise checks.damaged(path, "table", error) from error
    raise AssertionError("latin-1 decodes every byte")


def _frame(path: Path, encoding: str) -> pd.DataFrame:
    with (gzip.open(path, "rt", newline="", encoding=encoding) if _gzipped(path) else
          path.open(newline="", encoding=encoding)) as file:  # fmt: skip
        first, second = file.readline(), file.readline()
    separator = max(SEPARATORS, key=lambda one: len(_cells(first, one)))
    header, row = [name.strip() for name in _cells(first, separator)], _cells(second, separator)
    if not row:
        raise UserError("the table has no rows", where=path, expected="one row a cell", remedy="export it again")
    if len(row) != len(header):
        more = " (decimal commas in a table that is separated by commas?)" if len(row) > len(header) else ""
        raise UserError(
            f"{len(header)} names in the header, {len(row)} values in the first row{more}", where=path,
            expected="as many", remedy="export it with decimal points",
        )  # fmt: skip
    twice = [name for name, number in Counter(header).items() if number > 1]
    if twice:
        raise UserError(
            f"the column {twice[0]!r} occurs more than once", where=path, expected="each name once",
            remedy="rename one of them",
        )  # fmt: skip
    frame: pd.DataFrame = pd.read_csv(
        path, sep=separator, encoding=encoding, compression="infer", low_memory=False, index_col=False,
        header=0, names=header,
    )  # fmt: skip
    for name in header:
        if frame[name].dtype.kind not in "iufb":
            text = frame[name].dropna().astype(str)
            if len(text) and bool(text.map(lambda one: DECIMAL_COMMA.fullmatch(one) is not None).mean() > 0.5):
                raise UserError(
                    f"the column {name!r} has decimal commas, e.g. {text.iloc[0]!r}", where=path,
                    expected="decimal points", remedy="export it with decimal points",
                )  # fmt: skip
    return frame


def _gzipped(path: Path) -> bool:
    return path.suffix == ".gz"


def _cells(line: str, separator: str) -> list[str]:
    return next(csv.reader([line], delimiter=separator), [])


def _said(layout: Layout) -> str:
    return f"the table's layout is that of {layout.name}: {layout.x}, {layout.y} in {layout.unit}"


def _require(name: str, columns: Sequence[str], path: Path) -> None:
    if name not in columns:
        raise UserError(
            f"no column {name!r}", where=path, expected="a column of the table", remedy=did_you_mean(name, columns)
        )


def positions(frame: pd.DataFrame, name: str, path: Path) -> NDArray[np.float64]:
    column = pd.to_numeric(frame[name], errors="coerce").to_numpy(np.float64)
    if not np.isfinite(column).all():
        raise UserError(
            f"{int((~np.isfinite(column)).sum())} values of {name!r} are no numbers", where=path,
            expected="a position of every cell", remedy="correct or remove these rows, or name another column",
        )  # fmt: skip
    if len(column) > 1 and column.min() == column.max():
        raise UserError(
            f"the column {name!r} is {column[0]:g} for every cell", where=path, expected="positions",
            remedy="name another column in the options x_column and y_column",
        )  # fmt: skip
    return column


def _ids(
    frame: pd.DataFrame, id_column: str, layout: Layout | None, path: Path
) -> tuple[NDArray[np.str_], str, tuple[str, ...]]:
    name = id_column or next((one for one in (layout.ids if layout else ()) if one in frame.columns), "")
    if not name:
        numbers = np.arange(1, len(frame) + 1).astype(str)
        return numbers, "", ("the table has no column of ids: cells are numbered from 1 in its order",)
    if frame[name].isna().any():
        raise UserError(
            f"{int(frame[name].isna().sum())} cells have no {name!r}", where=path, expected="an id for every cell",
            remedy="fill them in, or name another column in the option id_column",
        )  # fmt: skip
    ids = checks.as_text(frame[name])
    checks.require_unique(ids, "cell", where=path)
    return ids, name, ()


def _markers(
    frame: pd.DataFrame, named: Sequence[str], taken: Sequence[str], path: Path
) -> tuple[dict[str, str], tuple[str, ...]]:
    """``({marker: column}, notes)``; a column that is mostly numbers and not all is refused, one of text is told."""
    numbers = [str(name) for name in frame.columns if frame[name].dtype.kind in "iuf"]
    if named:
        chosen = dict(
            zip(marker_names(named, where=path), (_column_of(one, frame, path) for one in named), strict=True)
        )
        for column in chosen.values():
            if column not in numbers:
                raise _text(frame, column, path)
        return chosen, ()
    text = [str(name) for name in frame.columns if name not in numbers and name not in taken]
    for column in text:
        if pd.to_numeric(frame[column], errors="coerce").notna().mean() > 0.5 and frame[column].dtype.kind != "b":
            raise _text(frame, column, path)
    chosen, notes = like_markers(numbers, taken)
    if not chosen:
        raise UserError(
            "no column looks like a marker", where=path, expected="columns of intensities",
            remedy="name them in the option markers",
        )  # fmt: skip
    told = (f"columns of text are no markers: {', '.join(text)}",) if text else ()
    return chosen, (*notes, *told)


def _column_of(marker: str, frame: pd.DataFrame, path: Path) -> str:
    """A column of that name, else the only one of QuPath's means of that marker over the preferred compartment."""
    columns = [str(name) for name in frame.columns]
    if marker in columns:
        return marker
    found = [name for name in columns if (match := QUPATH.fullmatch(name)) and match["marker"].strip() == marker]
    if found:
        return min(found, key=lambda name: PARTS.index(name.split(":")[0]))
    raise UserError(
        f"no column of the marker {marker!r}", where=path, expected="a column of the table",
        remedy=did_you_mean(marker, columns),
    )  # fmt: skip


def _text(frame: pd.DataFrame, column: str, path: Path) -> UserError:
    wrong = frame[column][pd.to_numeric(frame[column], errors="coerce").isna()]
    example = repr(str(wrong.iloc[0])) if len(wrong) else "text"
    return UserError(
        f"{len(wrong)} values of {column!r} are no numbers, e.g. {example}", where=path, expected="intensities",
        remedy="correct them, or name the columns wanted in the option markers",
    )  # fmt: skip


def cell_types(column: pd.Series) -> NDArray[np.str_]:
    return column.fillna("").astype(str).str.strip().to_numpy().astype(str)
