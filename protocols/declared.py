"""Units that a submission declares missing: who may, how it is kept, and what they count as. Once for every task.

Whoever predicts elsewhere may not have an answer for everybody: a slide that did not fit into memory, a patient left
out. A unit that is absent from a table is refused, since it may as well be a mistake. A unit whose row is there without
any value is *declared* missing. It counts as the worst answer (each task says which), the score over the answered units
alone stands beside that, and so does their share. Models of the pipeline answer everything: they cannot declare.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from protocols.errors import UserError
from protocols.metric import Metric

if TYPE_CHECKING:
    import pandas as pd

FILE = "declared_missing.json"
"""Beside a submission's answers: part (a fold, a section) to the units of it that were declared missing."""
SHARE = "answered_share"
HOW = "leave its values empty to declare it missing"
"""How a unit of a table is declared missing, as messages end."""
Float = NDArray[np.float64]


@dataclass(frozen=True)
class Answered:
    """How much of what was asked was answered, and the headline over that alone (None where it is undefined)."""

    asked: int
    missing: int
    headline: float | None
    units: str
    """What the units are called: patients, slides."""

    @property
    def share(self) -> float:
        return 1 - self.missing / self.asked


def empty_rows(values: pd.DataFrame, names: Sequence[str]) -> frozenset[str]:
    """The units of a table whose every value is empty."""
    return frozenset(np.asarray(names, dtype=object)[values.isna().all(axis=1).to_numpy()])


def write(folder: Path, missing: Mapping[str, Iterable[str]], asked: int, where: str) -> None:
    """State in a folder of answers which units are missing; nothing is written where none is."""
    told = {part: sorted(units) for part, units in sorted(missing.items())}
    told = {part: units for part, units in told.items() if units}
    if sum(map(len, told.values())) >= asked:
        raise UserError(
            "every unit is declared missing", where=where, expected="an answer for some", remedy="hand in what you have"
        )
    if told:
        (folder / FILE).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def read(folder: Path) -> dict[str, frozenset[str]]:
    """What :func:`write` stated, of a sealed folder; empty for a model of the pipeline."""
    path = folder / FILE
    told = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return {part: frozenset(units) for part, units in told.items()}


def refuse_holes(
    values: NDArray[Any],
    columns: Sequence[str],
    names: Sequence[object] | pd.MultiIndex,
    declared: Collection[str],
    *,
    where: str,
    remedy: str,
) -> None:
    """Refuse the first value of ``(n, k)`` that may not be as it is: one that is not finite, unless its unit (of
    ``names``) is declared missing and has no value at all; or any value of such a unit."""
    wrong = ~np.isfinite(values)
    if declared:
        missing = np.array([name in declared for name in names], dtype=bool)
        wrong[missing] = ~np.isnan(values[missing])
    found = np.argwhere(wrong)
    if len(found):
        row, column = found[0]
        value, unit = values[row, column], f"{columns[column]} of {names[row]}"
        if np.isfinite(value):
            expected = "no value of a unit that was declared missing"
            raise UserError(f"{unit} is {value}", where=where, expected=expected, remedy="predict again")
        told = f"a value is not finite: {unit} is {value}"
        raise UserError(told, where=where, expected="finite numbers", remedy=remedy)


def unanswered(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Units ``(n,)`` of an answer ``(n, g)`` that have no value at all."""
    return np.asarray(np.isnan(values).all(axis=1) & (values.shape[1] > 0), dtype=bool)


def worst_values(truth: NDArray[Any], predicted: NDArray[Any]) -> Float:
    """``predicted (n, g)`` with every row of NaN filled by the worst that the model itself answers.

    For each gene that is the end of its own answered range that lies farther from the truth, both in standard units
    (the truth's mean and deviation; the answered range's middle and half its width). Where nothing was answered, it is
    the truth's mirror image, so that r is -1; a gene that is constant where answered stays constant, so that r is 0.
    """
    t, p = np.asarray(truth, dtype=np.float64), np.array(predicted, dtype=np.float64)
    missing = unanswered(p)
    if not missing.any():
        return p
    if missing.all():
        return np.where(np.isnan(t), 0.0, -t)
    low, high = p[~missing].min(axis=0), p[~missing].max(axis=0)
    measured = ~np.isnan(t)
    n = np.maximum(measured.sum(axis=0), 1)
    mean = np.where(measured, t, 0.0).sum(axis=0) / n
    # The sign alone decides which end is farther, so neither deviation nor width has to be known.
    above = np.where(measured, t, mean) >= mean
    p[missing] = np.where(above, low, high)[missing]
    return p


def beside(headline: Metric, mean: float | None, found: Answered | None) -> dict[str, float | None]:
    """What stands in every record's summary: the headline over what was answered, and the share of it."""
    share, alone = (1.0, mean) if found is None else (found.share, found.headline)
    return {f"{headline.key}_answered": alone, SHARE: share}


def metrics(headline: Metric) -> tuple[Metric, ...]:
    """The columns that a board shows where some model has declared units missing."""
    return (
        replace(
            headline,
            key=f"{headline.key}_answered",
            title=f"{headline.title}, answered",
            hint="the headline over the answered units alone; the others were declared missing",
        ),
        Metric(SHARE, "Answered", "share of units answered; in the headline the others are the worst answer", None),
    )


def note(headline: Metric, found: Answered) -> str:
    """One line for the board."""
    alone = "undefined" if found.headline is None else f"{found.headline:.3f}"
    return (
        f"{found.missing} of {found.asked} {found.units} were declared missing and count as the worst answer; "
        f"over the others alone, {headline.title} is {alone}"
    )
