"""A fold's answer: checked as it comes from a model, kept as a table, and put in the cohort's row order."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from protocols.contract import FloatArray, RowArray
from protocols.declared import HOW, refuse_holes
from protocols.errors import UserError
from protocols.expression.store import CohortStore
from protocols.float32 import as_float32
from protocols.splits import Fold


def checked(answer: object, shape: tuple[int, int], model: str, fold: str) -> FloatArray:
    """A prediction as finite float32 of the right shape, or a :class:`UserError`."""
    predicted = np.asarray(answer)
    where, remedy = f"model {model}, fold {fold}", f"run `slide2omics check {model}`"
    if predicted.shape != shape:
        raise UserError(f"predict returned shape {predicted.shape}", where=where, expected=f"{shape}", remedy=remedy)
    kept = as_float32(predicted) if np.issubdtype(predicted.dtype, np.number) else predicted
    if kept is predicted or not np.isfinite(kept).all():
        raise UserError("predict returned NaN or infinity", where=where, expected="finite numbers", remedy=remedy)
    return kept


def fold_file(number: int) -> str:
    return f"{number:04d}.parquet"


def external_folder(cohort: str) -> str:
    """Where, beside a cell's own folds, the fold models' answers for an external cohort lie, one file a model."""
    return f"external/{cohort}"


def write(path: Path, store: CohortStore, rows: RowArray, genes: tuple[str, ...], predicted: FloatArray) -> None:
    """One fold's answers: slide, cell_id, one float32 column a gene."""
    slide = np.array([record.slide for record in store.slides])[store.slide_index[rows]]
    columns = {
        "slide": pa.array(slide).dictionary_encode(),
        "cell_id": pa.array(store.units["cell_id"].to_numpy()[rows]),
    }
    columns |= {gene: pa.array(predicted[:, position]) for position, gene in enumerate(genes)}
    pq.write_table(pa.table(columns), path, compression="zstd", use_dictionary=["slide"])


def unit_names(table: pd.DataFrame) -> list[str]:
    """What units are called where they are declared missing."""
    return [f"{slide}, {cell}" for slide, cell in zip(table["slide"].astype(str), table["cell_id"], strict=True)]


def aligned(
    table: pd.DataFrame, store: CohortStore, fold: Fold, where: str, declared: Collection[str] = ()
) -> FloatArray:
    """A fold's predictions in the cohort's row order, float32 ``(n_test, genes)``.

    Refuses missing columns, duplicates, strangers, missing units and values that are not finite. ``declared``: units
    that were declared missing; they, and no others, have no value at all (NaN).
    """
    at = f"{where}, fold {fold.name}"
    remedy = f"hand in one row for every test unit of the fold, one column for every gene; {HOW}"
    missing = [name for name in ("slide", "cell_id", *fold.genes) if name not in table.columns]
    if missing:
        raise UserError(
            f"{len(missing)} columns missing, first {missing[0]!r}",
            where=at,
            expected="slide, cell_id and the fold's genes",
            remedy=remedy,
        )
    given = pd.MultiIndex.from_arrays([table["slide"].astype(str), table["cell_id"].astype(str)])
    if given.has_duplicates:
        raise UserError(
            f"duplicate rows, first {given[given.duplicated()][0]}", where=at, expected="each unit once", remedy=remedy
        )
    names = np.array([slide.slide for slide in store.slides])[store.slide_index[fold.test]]
    wanted = pd.MultiIndex.from_arrays([names, store.units["cell_id"].to_numpy()[fold.test]])
    strangers = given.difference(wanted)
    if len(strangers):
        raise UserError(
            f"{len(strangers)} rows are not test units, first {strangers[0]}",
            where=at,
            expected="only the fold's test units",
            remedy=remedy,
        )
    position = given.get_indexer(wanted)
    if np.any(position < 0):
        raise UserError(
            f"{np.sum(position < 0)} test units missing, first {wanted[position < 0][0]}",
            where=at,
            expected="every test unit",
            remedy=remedy,
        )
    columns = table[list(fold.genes)]
    try:
        values = as_float32(columns.to_numpy(dtype=np.float64))[position]
    except (TypeError, ValueError):
        text = next(name for name in fold.genes if not pd.api.types.is_numeric_dtype(columns[name]))
        raise UserError(f"column {text!r} is not numeric", where=at, expected="numbers", remedy=remedy) from None
    named = [f"{slide}, {cell}" for slide, cell in wanted] if declared else wanted
    refuse_holes(values, fold.genes, named, declared, where=at, remedy=remedy)
    return values
