"""How what was measured becomes what is asked: every named measure of a cohort of cells x molecules.

A measure of counts needs nothing but a unit's own counts. One of intensities may have a scale of each marker, fitted
on the training units of a fold alone: :func:`fit_scale` is handed a reader of one marker's training values, so it holds
one marker of the cohort at a time and cannot see another unit. ``percentile99_all`` is the exception, named for what it
is: its scale is of every unit of the cohort, those that are tested included.

Source of ``percentile99``: HEX (Li et al., Nature Medicine 2026), Methods: each marker divided by its 99th percentile.
The paper says "global"; the released script divides by nothing (``raw``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from protocols.contract import FloatArray
from protocols.errors import UserError, look_up

Of = Literal["counts", "intensities"]
FittedOn = Literal["nothing", "training", "cohort"]
Column = Callable[[str], FloatArray]
"""A marker's values over the units that a scale is fitted on, float32 ``(n,)``; NaN where a slide lacks the marker."""

PERCENTILE = 99.0
COFACTOR = 5.0
"""Of arcsinh: values below it stay about linear. 5 is the custom of mass cytometry; here it divides raw intensities."""


@dataclass(frozen=True)
class Measure:
    """``of``: what it takes. ``target``: the line that a board prints. ``fitted_on``: the units that its scale is of.

    ``change``: float32 to float32 of the same shape, NaN to NaN, applied after the scale; None: as it is.
    ``span``: the range of its values, the same for every marker; None: each marker has its own.
    """

    name: str
    of: Of
    target: str
    fitted_on: FittedOn = "nothing"
    change: Callable[[FloatArray], FloatArray] | None = None
    span: float | None = None


@dataclass(frozen=True, eq=False)
class Scale:
    """A measure fitted: ``divisor`` float64 ``(G,)`` is each marker's own, above 0 (1 where the measure has none)."""

    measure: Measure
    genes: tuple[str, ...]
    divisor: NDArray[np.float64]

    def targets(self, intensities: FloatArray) -> FloatArray:
        """float32 ``(n, G)`` to float32 ``(n, G)``; NaN (the slide lacks the marker) stays NaN."""
        scaled = intensities
        if self.measure.fitted_on != "nothing":
            scaled = (intensities / self.divisor).astype(np.float32)
        return scaled if self.measure.change is None else self.measure.change(scaled)


def fit_scale(measure: Measure, genes: Sequence[str], column: Column) -> Scale:
    """The scale of each of ``genes``, one marker in memory at a time."""
    if measure.fitted_on == "nothing":
        return Scale(measure, tuple(genes), np.ones(len(genes)))
    return Scale(measure, tuple(genes), np.array([divisor_of(column(gene)) for gene in genes], dtype=np.float64))


def divisor_of(values: FloatArray) -> float:
    """The 99th percentile (linear between order statistics, as numpy's) of the measured values ``(n,)``.

    Where that is not above zero (a marker of under 1 % of the units, or one that was constant at nothing) the largest
    value stands in for it, and 1 where that is not above zero either: nothing is ever divided by nothing.
    """
    seen = values[np.isfinite(values)].astype(np.float64)
    if not len(seen):
        return 1.0
    found = float(np.percentile(seen, PERCENTILE))
    return found if found > 0 else max(float(seen.max()), 0.0) or 1.0


def _clipped(values: FloatArray) -> FloatArray:
    clipped: FloatArray = np.clip(values, np.float32(0), np.float32(1))
    return clipped


def _of_8_bits(values: FloatArray) -> FloatArray:
    return values / np.float32(255.0)


def _log1p(values: FloatArray) -> FloatArray:
    changed: FloatArray = np.log1p(np.maximum(values, np.float32(0)))
    return changed


def _arcsinh(values: FloatArray) -> FloatArray:
    changed: FloatArray = np.arcsinh(values / np.float32(COFACTOR))
    return changed


LOG_CP10K = Measure(
    "log_cp10k", "counts", "log1p of counts scaled to 10,000 per unit, over the slide's whole panel"
)  # fmt: skip
PERCENTILE99 = Measure(
    "percentile99", "intensities",
    "each marker divided by its 99th percentile over the training units, clipped to [0, 1]",
    "training", _clipped, 1.0,
)  # fmt: skip
MEASURES: Mapping[str, Measure] = {
    one.name: one
    for one in (
        LOG_CP10K,
        PERCENTILE99,
        Measure(
            "percentile99_all", "intensities",
            "each marker divided by its 99th percentile over all units, those that are tested included, clipped to "
            "[0, 1]",
            "cohort", _clipped, 1.0,
        ),
        Measure("raw", "intensities", "mean intensities as the file has them"),
        Measure("unit8", "intensities", "means of 8-bit intensities, divided by 255", change=_of_8_bits, span=1.0),
        Measure("log1p", "intensities", "log1p of intensities, negative ones as 0", change=_log1p),
        Measure("arcsinh", "intensities", "arcsinh of intensities divided by 5", change=_arcsinh),
    )
}  # fmt: skip
DEFAULTS: Mapping[Of, Measure] = {"counts": LOG_CP10K, "intensities": PERCENTILE99}


def measure_named(name: str, where: str = "measure") -> Measure:
    """The measure of that name; an unknown one fails with the nearest."""
    return look_up(name, MEASURES, kind="measure", where=where)


def refuse_other_kind(measure: Measure, of: Of, where: str) -> None:
    """A measure of counts says nothing of intensities, nor the other way round."""
    if measure.of != of:
        fitting = [one.name for one in MEASURES.values() if one.of == of]
        raise UserError(
            f"measure {measure.name} is of {measure.of}, and these are {of}", where=where,
            expected=f"one of {', '.join(fitting)}", remedy="change the cohort's measure, or its reader",
        )  # fmt: skip
