"""From what a reader found to a checked slide: the last step of every reader."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from protocols.errors import UserError
from protocols.expression.cohort import SlideData, SlideEntry, Unit
from protocols.readers import checks
from protocols.readers.intensities import checked_intensities, marker_names

MAX_OUTSIDE = 0.05
"""Share of units that may lie outside the image (the H&E often covers a little less than the assay)."""


def agreed_mpp(given: float, measured: float | None, *, given_by: str, measured_by: str) -> tuple[str, ...]:
    """A note where two sources of the image's mpp differ by more than 5 %."""
    if measured is None or abs(given / measured - 1) <= 0.05:
        return ()
    return (f"mpp is {given:.4f} by {given_by} but {measured:.4f} by {measured_by}; the first is used",)


def build_slide(
    entry: SlideEntry,
    *,
    unit: Unit,
    image: Path,
    size: tuple[int, int] | None,
    mpp: float | None,
    ids: NDArray[np.str_],
    xy_px: NDArray[np.float64],
    names: Sequence[str],
    counts: Any,
    where: object,
    notes: Sequence[str] = (),
) -> SlideData:
    """The checks that all readers share, then the slide.

    ``size`` is the image's (width, height) in level-0 pixels (None: no whole image, as with HEST's patches).
    Units outside the image are left out and noted; above ``max_outside`` (an option of every reader; default
    5 %) they are an error, because then the positions belong to another frame.
    """
    scale = _placed(entry, unit, image, mpp, ids, xy_px, where=where)
    matrix = checks.whole_counts(counts, where=where)
    if matrix.shape != (len(ids), len(names)):
        raise UserError(
            f"counts are {matrix.shape[0]} × {matrix.shape[1]}",
            where=where,
            expected=f"{len(ids)} {unit}s × {len(names)} genes",
            remedy="fetch the file again",
        )
    genes, matrix, gene_notes = checks.named_genes(names, matrix, where=where)
    inside, outside_notes = _inside(entry, unit, size, xy_px, where=where)
    matrix = sparse.csr_matrix(matrix[inside])
    if matrix.shape[0] == 0 or matrix.shape[1] == 0 or matrix.nnz == 0:
        raise UserError(
            f"the slide is empty ({matrix.shape[0]} {unit}s, {matrix.shape[1]} genes, {int(matrix.sum())} counts)",
            where=where,
            expected=f"at least one {unit} with a count",
            remedy="leave the slide out of the manifest",
        )
    silent = int((np.diff(matrix.indptr) == 0).sum())
    count_notes = (f"{silent} {unit}s have no count at all",) if silent else ()
    units = _units(ids, xy_px, inside)
    return SlideData(
        entry, unit, image, scale, units, genes, matrix, (*notes, *gene_notes, *outside_notes, *count_notes)
    )


def build_protein_slide(
    entry: SlideEntry,
    *,
    unit: Unit,
    image: Path,
    size: tuple[int, int] | None,
    mpp: float | None,
    ids: NDArray[np.str_],
    xy_px: NDArray[np.float64],
    names: Sequence[str],
    intensities: Any,
    cell_type: NDArray[np.str_] | None = None,
    where: object,
    notes: Sequence[str] = (),
    span: str = "",
) -> SlideData:
    """:func:`build_slide` of intensities: the same checks of places, those of numbers by :mod:`.intensities`.

    ``intensities`` ``(units, names)`` of any number type; ``span`` is the note on their range as the file has them (it
    is made here of those that are given, where there is none). ``cell_type`` ``(units,)``.
    """
    scale = _placed(entry, unit, image, mpp, ids, xy_px, where=where)
    markers = marker_names(names, where=where)
    values, own_span = checked_intensities(intensities, markers, where=where)
    if len(values) != len(ids):
        raise UserError(
            f"intensities of {len(values)} {unit}s", where=where, expected=f"{len(ids)}", remedy="write the file again"
        )
    inside, outside_notes = _inside(entry, unit, size, xy_px, where=where)
    if not inside.any() or not markers or not values[inside].any():
        raise UserError(
            f"the slide is empty ({int(inside.sum())} {unit}s, {len(markers)} markers, all of them 0)", where=where,
            expected=f"at least one {unit} with an intensity above 0", remedy="leave the slide out of the manifest",
        )  # fmt: skip
    constant = [name for name, one in zip(markers, values[inside].T, strict=True) if one.min() == one.max()]
    flat = (f"{len(constant)} markers are the same everywhere: {', '.join(constant)}",) if constant else ()
    return SlideData(
        entry,
        unit,
        image,
        scale,
        _units(ids, xy_px, inside),
        markers,
        None,
        (*notes, span or own_span, *outside_notes, *flat),
        values[inside],
        None if cell_type is None else np.asarray(cell_type, str)[inside],
    )


def _placed(
    entry: SlideEntry,
    unit: Unit,
    image: Path,
    mpp: float | None,
    ids: NDArray[np.str_],
    xy_px: NDArray[np.float64],
    *,
    where: object,
) -> float:
    """``mpp``, where it is known, every id is there once and every position is finite."""
    if mpp is None or not (math.isfinite(mpp) and mpp > 0):
        raise UserError(
            f"the image's micrometres per pixel are unknown ({mpp})",
            where=f"slide {entry.slide}, {image}",
            expected="a number above 0",
            remedy="set the option mpp in the manifest",
        )
    checks.require_unique(ids, unit, where=where)
    if not np.isfinite(xy_px).all():
        raise UserError(
            f"{int((~np.isfinite(xy_px)).any(axis=1).sum())} {unit}s have no finite position",
            where=where,
            expected="finite coordinates",
            remedy="correct or remove them",
        )
    return float(mpp)


def _units(ids: NDArray[np.str_], xy_px: NDArray[np.float64], inside: NDArray[np.bool_]) -> pd.DataFrame:
    return pd.DataFrame({"cell_id": ids[inside].astype(object), "x_px": xy_px[inside, 0], "y_px": xy_px[inside, 1]})


def _inside(
    entry: SlideEntry, unit: Unit, size: tuple[int, int] | None, xy_px: NDArray[np.float64], *, where: object
) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    if size is None or not len(xy_px):
        return np.ones(len(xy_px), bool), ()
    inside: NDArray[np.bool_] = np.all((xy_px >= 0) & (xy_px < np.array(size)), axis=1)
    outside = int((~inside).sum())
    if not outside:
        return inside, ()
    share = outside / len(inside)
    allowed = checks.option_number(entry, "max_outside", MAX_OUTSIDE) or MAX_OUTSIDE
    if share > allowed:
        raise UserError(
            f"{outside} of {len(inside)} {unit}s ({share:.0%}) lie outside the image of {size[0]} × {size[1]} px",
            where=where,
            expected=f"at most {allowed:.0%}",
            remedy="check the alignment and the pixel scale, or raise the option max_outside",
        )
    return inside, (f"{outside} of {len(inside)} {unit}s lie outside the image and were left out",)
