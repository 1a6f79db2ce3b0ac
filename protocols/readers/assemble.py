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
    units = pd.DataFrame({"cell_id": ids[inside].astype(object), "x_px": xy_px[inside, 0], "y_px": xy_px[inside, 1]})
    return SlideData(
        entry, unit, image, float(mpp), units, genes, matrix, (*notes, *gene_notes, *outside_notes, *count_notes)
    )


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
