"""A fold's answer: checked as it comes from a model, kept as a table, and put in the order of those who were asked.

The table has ``patient`` and ``probability``.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from protocols.contract import TextArray
from protocols.declared import HOW, refuse_holes
from protocols.errors import UserError
from protocols.response.contract import Probability

_REMEDY = f"hand in one row for every patient; {HOW}"


def checked(answer: object, n: int, model: str, fold: str) -> Probability:
    """The answer as float64, or a :class:`UserError` that names model and fold."""
    where, remedy = f"model {model}, fold {fold}", f"run `slide2omics check {model}`"
    found = np.asarray(answer)
    if found.shape != (n,) or not np.issubdtype(found.dtype, np.number):
        told = f"predict returned {found.dtype} {found.shape}"
        raise UserError(told, where=where, expected=f"probabilities ({n},)", remedy=remedy)
    found = found.astype(np.float64)
    if not np.isfinite(found).all():
        raise UserError("a probability is NaN or infinite", where=where, expected="numbers in [0, 1]", remedy=remedy)
    if found.min(initial=0) < 0 or found.max(initial=1) > 1:
        told = f"probabilities from {found.min():g} to {found.max():g}"
        raise UserError(told, where=where, expected="numbers in [0, 1]", remedy=remedy)
    return found


def fold_file(number: int) -> str:
    return f"{number:04d}.parquet"


def write(path: Path, patient: TextArray, answer: Probability) -> None:
    """One fold's answers; numbers keep every bit."""
    table = pa.table({"patient": pa.array(patient.tolist()), "probability": pa.array(answer)})
    pq.write_table(table, path, compression="zstd")


def aligned(table: pd.DataFrame, patients: list[str], where: str, declared: Collection[str] = ()) -> pd.DataFrame:
    """The table in the order of ``patients``; refuses duplicates, strangers, missing patients and what is no
    probability. ``declared``: patients who were declared missing; they, and no others, have no probability."""
    given = table["patient"].astype(str)
    if given.duplicated().any():
        raise UserError(
            f"patient {given[given.duplicated()].iloc[0]} twice", where=where, expected="each once", remedy=_REMEDY
        )
    for found, what in (
        (sorted(set(given) - set(patients)), "are not test patients"),
        (sorted(set(patients) - set(given)), "test patients are missing"),
    ):
        if found:
            raise UserError(
                f"{len(found)} {what}, first {found[0]}", where=where, expected="every test patient, and no other",
                remedy="see `slide2omics units response` for who is tested where",
            )  # fmt: skip
    if not pd.api.types.is_numeric_dtype(table["probability"]):
        raise UserError("probability is not numeric", where=where, expected="numbers in [0, 1]", remedy=_REMEDY)
    values = table["probability"].to_numpy(np.float64)
    refuse_holes(values[:, None], ["probability"], given.tolist(), declared, where=where, remedy=_REMEDY)
    outside = (values < 0) | (values > 1)
    if outside.any():
        told = f"probability of {given[outside].iloc[0]} is {values[outside][0]:g}"
        raise UserError(told, where=where, expected="a number in [0, 1]", remedy="hand in probabilities, not scores")
    return table.assign(patient=given).set_index("patient").loc[patients].reset_index()
