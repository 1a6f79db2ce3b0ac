"""What every reader checks before it returns anything: files, identifiers, counts, genes, positions.

Each failure is one :class:`UserError`; a reader that fails has returned nothing, so no cohort is ever half read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from protocols.errors import UserError, did_you_mean
from protocols.expression.cohort import SlideEntry


def require_file(path: Path, role: str) -> Path:
    """``path`` if it is a file with content."""
    if not path.is_file():
        raise UserError(
            f"the {role} file is missing", where=path, expected="a readable file", remedy="correct the path or fetch it"
        )
    if path.stat().st_size == 0:
        raise UserError(f"the {role} file is empty", where=path, expected="some bytes", remedy="fetch it again")
    return path


def find_one(folder: Path, patterns: Sequence[str], role: str) -> Path:
    """The only file of ``folder`` that matches one of ``patterns``."""
    found = sorted({path for pattern in patterns for path in folder.glob(pattern) if path.is_file()})
    if len(found) == 1:
        return found[0]
    what = f"{len(found)} files could be the {role}" if found else f"the {role} file is missing"
    raise UserError(
        what, where=folder, expected=f"one file like {' or '.join(patterns)}", remedy="name it in the manifest"
    )


def option_number(entry: SlideEntry, name: str, default: float | None = None) -> float | None:
    """A positive number or a fraction ("2000/6954") from the manifest; ``default`` where it is not given."""
    text = entry.options.get(name, "").strip()
    if not text:
        return default
    top, _, bottom = text.partition("/")
    try:
        value = float(top) / float(bottom) if bottom else float(top)
    except (ValueError, ZeroDivisionError):
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise UserError(
            f"option {name} is {text!r}",
            where=f"slide {entry.slide}",
            expected="a number above 0, or a fraction such as 2000/6954",
            remedy="correct the manifest",
        )
    return value


def option_choice(entry: SlideEntry, name: str, choices: Sequence[str]) -> str:
    """One of ``choices`` from the manifest; the first where it is not given."""
    value = entry.options.get(name, "").strip() or choices[0]
    if value in choices:
        return value
    raise UserError(
        f"option {name} is {value!r}",
        where=f"slide {entry.slide}",
        expected=" or ".join(choices),
        remedy=did_you_mean(value, choices),
    )


def read_parquet(path: Path, columns: Sequence[str], role: str) -> pd.DataFrame:
    """``columns`` of a parquet file."""
    from pyarrow import ArrowException
    from pyarrow import parquet as pq

    require_file(path, role)
    try:
        schema: list[str] = pq.read_schema(path).names
        require_columns(schema, columns, where=path)
        frame: pd.DataFrame = pq.read_table(path, columns=list(columns)).to_pandas()
    except (ArrowException, OSError, ValueError) as error:
        raise damaged(path, "parquet", error) from error
    return frame


@contextmanager
def open_h5(path: Path, role: str) -> Iterator[Any]:
    """An open HDF5 file; whatever h5py cannot read in the block is reported as one damaged or alien file."""
    import h5py

    require_file(path, role)
    try:
        with h5py.File(path, "r") as file:
            yield file
    except KeyError as error:
        raise UserError(
            f"the {role} lacks {str(error).strip(chr(34))}",
            where=path,
            expected="the layout its reader documents",
            remedy="check which software wrote it",
        ) from error
    except OSError as error:
        raise damaged(path, "HDF5", error) from error


def damaged(path: Path, kind: str, error: BaseException) -> UserError:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
    return UserError(
        f"truncated or damaged ({reason})",
        where=path,
        expected=f"a whole {kind} file",
        remedy="fetch or write it again",
    )


def require_columns(given: Sequence[str], needed: Sequence[str], *, where: object) -> None:
    for name in needed:
        if name not in given:
            raise UserError(
                f"no column {name!r}", where=where, expected=", ".join(needed), remedy=did_you_mean(name, given)
            )


def as_text(values: Any) -> NDArray[np.str_]:
    """Identifiers as text; bytes are decoded, whole floats lose their ``.0``."""
    return np.array(
        [v.decode() if isinstance(v, bytes) else str(int(v)) if _is_whole_float(v) else str(v) for v in values], str
    )


def _is_whole_float(value: object) -> bool:
    return isinstance(value, (float, np.floating)) and math.isfinite(value) and value == int(value)


def require_unique(ids: NDArray[np.str_], kind: str, *, where: object) -> None:
    values, number = np.unique(ids, return_counts=True)
    if (number > 1).any():
        raise UserError(
            f"{int((number > 1).sum())} {kind} ids occur more than once, e.g. {str(values[number > 1][0])!r}",
            where=where,
            expected=f"one row per {kind}",
            remedy="remove or rename the duplicates",
        )


def whole_counts(matrix: Any, *, where: object) -> sparse.csr_matrix:
    """``matrix`` (dense or sparse, units × genes) as int32 CSR; refuses negative, fractional or non-finite counts."""
    counts = sparse.csr_matrix(matrix)
    counts.sum_duplicates()
    data = np.asarray(counts.data)
    if data.dtype.kind not in "iufb":
        raise UserError("counts are not numbers", where=where, expected="whole numbers", remedy="give raw counts")
    values = data.astype(np.float64)
    for bad, what in (
        (~np.isfinite(values), "not finite"),
        (values < 0, "negative"),
        (values != np.floor(values), "not whole numbers"),
        (values > np.iinfo(np.int32).max, "above 2,147,483,647"),
    ):
        if bad.any():
            raise UserError(
                f"{int(bad.sum())} counts are {what}, e.g. {values[bad][0]:g}",
                where=where,
                expected="raw counts: whole numbers, 0 or more",
                remedy="give the matrix before any normalisation",
            )
    whole = sparse.csr_matrix((data.astype(np.int32), counts.indices, counts.indptr), shape=counts.shape)
    whole.eliminate_zeros()
    return whole


def named_genes(
    names: Sequence[str], counts: sparse.csr_matrix, *, where: object
) -> tuple[tuple[str, ...], sparse.csr_matrix, tuple[str, ...]]:
    """``(genes, counts, notes)`` with every gene named once.

    Columns of one name are added up (their transcripts belong to that gene), which does not depend on the order
    of columns, and is noted. A name that is empty or a bare number is no gene id and is refused: such tables are
    transposed or lack their header.
    """
    clean = np.array([str(name).strip() for name in names], str)
    unknown = [name for name in clean if not name or name.lower() in {"nan", "none"} or _is_number(name)]
    if unknown:
        raise UserError(
            f"{len(unknown)} gene ids are unknown, e.g. {str(unknown[0])!r}",
            where=where,
            expected="gene symbols or Ensembl ids",
            remedy="check the header and the orientation of the table",
        )
    unique, first, inverse = np.unique(clean, return_index=True, return_inverse=True)
    if len(unique) == len(clean):
        return tuple(map(str, clean)), counts, ()
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    merge = sparse.csr_matrix(
        (np.ones(len(clean), np.int32), (np.arange(len(clean)), rank[inverse])), shape=(len(clean), len(unique))
    )
    merged = sparse.csr_matrix(counts @ merge)
    note = f"{len(clean) - len(unique)} columns repeat a gene's name and were added to its first"
    return tuple(map(str, unique[order])), merged, (note,)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
