"""A fold's answer: checked as it comes from a model, kept as a table, and put in the order of those who were asked.

The table has ``patient``, ``risk`` and, where the model gives curves, ``S(<months>)`` columns.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from protocols.contract import TextArray
from protocols.declared import HOW, refuse_holes
from protocols.errors import UserError
from protocols.survival.contract import SurvivalPrediction

RISING = 1e-9
"""How far a curve may rise by rounding."""


def checked(answer: object, n: int, model: str, fold: str) -> SurvivalPrediction:
    """The answer with float64 arrays, or a :class:`UserError` that names model and fold."""
    where, remedy = f"model {model}, fold {fold}", f"run `slide2omics check {model}`"
    if not isinstance(answer, SurvivalPrediction):
        raise UserError(
            f"predict returned a {type(answer).__name__}", where=where, expected="SurvivalPrediction", remedy=remedy
        )
    risk = np.asarray(answer.risk)
    if risk.shape != (n,):
        raise UserError(f"risk has shape {risk.shape}", where=where, expected=f"({n},)", remedy=remedy)
    if not np.issubdtype(risk.dtype, np.number) or not np.isfinite(risk).all():
        raise UserError("a risk is NaN or infinite", where=where, expected="finite numbers", remedy=remedy)
    if (answer.times is None) != (answer.survival is None):
        raise UserError("times without curves, or curves without times", where=where, expected="both", remedy=remedy)
    if answer.times is None or answer.survival is None:
        return SurvivalPrediction(risk.astype(np.float64))
    times, curves = np.asarray(answer.times, np.float64), np.asarray(answer.survival, np.float64)
    if times.ndim != 1 or curves.shape != (n, len(times)):
        raise UserError(
            f"curves {curves.shape} at times {times.shape}", where=where, expected=f"({n}, k) at (k,)", remedy=remedy
        )
    if not (np.isfinite(times).all() and np.all(np.diff(times) > 0) and (not len(times) or times[0] >= 0)):
        raise UserError("times do not ascend", where=where, expected="months, ascending, from 0", remedy=remedy)
    if not np.isfinite(curves).all() or curves.min(initial=0) < 0 or curves.max(initial=1) > 1:
        raise UserError("a curve leaves [0, 1]", where=where, expected="probabilities", remedy=remedy)
    if np.any(np.diff(curves, axis=1) > RISING):
        raise UserError("a curve rises", where=where, expected="survival that never rises", remedy=remedy)
    return SurvivalPrediction(risk.astype(np.float64), times, np.minimum.accumulate(curves, axis=1))


_REMEDY = f"hand in one row for every test patient of the fold; {HOW}"


def fold_file(number: int) -> str:
    return f"{number:04d}.parquet"


_CURVE = re.compile(r"S\((?P<months>[^)]+)\)")


def write(path: Path, patient: TextArray, answer: SurvivalPrediction) -> None:
    """One fold's answers; numbers keep every bit."""
    columns = {"patient": pa.array(patient.tolist()), "risk": pa.array(answer.risk)}
    if answer.times is not None and answer.survival is not None:
        columns |= {f"S({time!r})": pa.array(answer.survival[:, k]) for k, time in enumerate(answer.times.tolist())}
    pq.write_table(pa.table(columns), path, compression="zstd")


def is_curve(column: object) -> bool:
    """Whether a column is named like a point of the survival curves."""
    return _CURVE.fullmatch(str(column)) is not None


def curves_of(table: pd.DataFrame, where: str) -> tuple[NDArray[np.float64] | None, NDArray[np.float64] | None]:
    """Times ``(k,)`` and survival ``(n, k)`` of a table's curve columns in order of time; None without any."""
    months = {}
    for name in table.columns:
        match = _CURVE.fullmatch(str(name))
        if match:
            try:
                months[name] = float(match["months"])
            except ValueError:
                raise UserError(
                    f"cannot read the time in column {name!r}",
                    where=where,
                    expected="S(<months>), as in S(12.5)",
                    remedy="rename it",
                ) from None
    if not months:
        return None, None
    names = sorted(months, key=months.__getitem__)
    return np.array([months[name] for name in names]), table[names].to_numpy(np.float64)


def aligned(table: pd.DataFrame, patients: list[str], where: str, declared: Collection[str] = ()) -> pd.DataFrame:
    """The table in the order of ``patients``; refuses missing columns, duplicates, strangers and missing patients.

    ``declared``: patients who were declared missing; they, and no others, have neither risk nor curve.
    """
    missing = [name for name in ("patient", "risk") if name not in table.columns]
    if missing:
        raise UserError(f"no column {missing[0]!r}", where=where, expected="patient and risk", remedy=_REMEDY)
    given = table["patient"].astype(str)
    if given.duplicated().any():
        raise UserError(
            f"patient {given[given.duplicated()].iloc[0]} twice", where=where, expected="each once", remedy=_REMEDY
        )
    strangers = sorted(set(given) - set(patients))
    if strangers:
        raise UserError(
            f"{len(strangers)} are not test patients, first {strangers[0]}",
            where=where,
            expected="only the fold's test patients",
            remedy="see `slide2omics units tcga_survival` for who is tested where",
        )
    absent = sorted(set(patients) - set(given))
    if absent:
        raise UserError(
            f"{len(absent)} test patients missing, first {absent[0]}",
            where=where,
            expected="every test patient",
            remedy=_REMEDY,
        )
    if not pd.api.types.is_numeric_dtype(table["risk"]):
        raise UserError("risk is not numeric", where=where, expected="numbers", remedy=_REMEDY)
    risk = table["risk"].to_numpy(np.float64)[:, None]
    refuse_holes(risk, ["risk"], given.tolist(), declared, where=where, remedy=_REMEDY)
    return table.assign(patient=given).set_index("patient").loc[patients].reset_index()
