"""A fold's answer as a table: ``patient``, ``risk`` and, where the model gives curves, ``S(<months>)`` columns."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from protocols.contract import TextArray
from protocols.errors import UserError
from protocols.files import written_whole
from protocols.survival_contract import SurvivalPrediction

_CURVE = re.compile(r"S\((?P<months>[^)]+)\)")


def write_answer(path: Path, patient: TextArray, answer: SurvivalPrediction) -> None:
    """One fold's answers, whole or not at all; numbers keep every bit."""
    columns = {"patient": pa.array(patient.tolist()), "risk": pa.array(answer.risk)}
    if answer.times is not None and answer.survival is not None:
        columns |= {f"S({time!r})": pa.array(answer.survival[:, k]) for k, time in enumerate(answer.times.tolist())}
    with written_whole(path) as part:
        pq.write_table(pa.table(columns), part, compression="zstd")


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
