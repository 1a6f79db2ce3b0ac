"""Files of answers: slides x genes and tiles x genes as Parquet; arrays of single folds while a run goes on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from protocols.contract import FloatArray, TextArray
from protocols.errors import UserError
from protocols.float32 import as_float32

TRAINED, UNTRAINED, VALIDATION = "trained", "untrained", "validation"
KEYS = ("slide", "patient")
TILE_KEYS = ("row", "column")


def checked(answer: object, shape: tuple[int, int], model: str, where: str) -> FloatArray:
    """A prediction as finite float32 of the right shape, or a :class:`UserError`."""
    predicted = np.asarray(answer)
    at, remedy = f"model {model}, {where}", f"run `slide2omics check {model}`"
    if predicted.shape != shape:
        raise UserError(f"predict returned shape {predicted.shape}", where=at, expected=f"{shape}", remedy=remedy)
    kept = as_float32(predicted) if np.issubdtype(predicted.dtype, np.number) else predicted
    if kept is predicted or not np.isfinite(kept).all():
        raise UserError("predict returned NaN or infinity", where=at, expected="finite numbers", remedy=remedy)
    return kept


def write_slides(path: Path, slide: TextArray, patient: TextArray, genes: tuple[str, ...], values: FloatArray) -> None:
    """One row a slide: slide, patient, one float32 column a gene."""
    columns = {"slide": pa.array(slide.tolist()), "patient": pa.array(patient.tolist())}
    columns |= {gene: pa.array(values[:, place]) for place, gene in enumerate(genes)}
    _write(path, columns)


def write_tiles(
    path: Path, places: dict[str, np.ndarray[tuple[int], np.dtype[np.int64]]], values: pd.DataFrame
) -> None:
    """One row a tile: row, column, one float32 column a gene."""
    columns = {name: pa.array(places[name]) for name in TILE_KEYS}
    columns |= {str(gene): pa.array(values[gene].to_numpy(np.float32)) for gene in values.columns}
    _write(path, columns)


def _write(path: Path, columns: dict[str, pa.Array]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path, compression="zstd", use_dictionary=list(KEYS))


def save_array(path: Path, values: FloatArray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        np.save(file, values, allow_pickle=False)


def load_array(path: Path) -> FloatArray:
    array: FloatArray = np.load(path, allow_pickle=False)
    return array


def slides_file(number: int, state: str) -> str:
    return f"{number:04d}.parquet" if state == TRAINED else f"{number:04d}-{state}.parquet"


def part_of(cohort: str, fold: str) -> str:
    """What a fold of slides is called where missing ones are declared."""
    return f"{cohort}, {fold}"


def section_genes(cohort: tuple[str, ...], measured: tuple[str, ...]) -> tuple[str, ...]:
    """Genes that the bulk cohort and the section both have, in the cohort's order."""
    there = set(measured)
    return tuple(gene for gene in cohort if gene in there)


def shared_genes(cohort: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    """Genes that a cohort's models are asked about in another cohort."""
    return section_genes(cohort, other)
