"""What looks like no answer: rows that were never filled, and answers whose scale holds nothing.

A loop that skips a patient leaves what its array was made with: zeros, most often, or one value at the scale's end.
Such a row is scored like any other (Patch-GCN's release ranks nine of its patients so), so it is looked for, and said.
Nothing here changes a score. What is said is a question: a model may have reasons for what it answers.

Ties alone are none of this: trees and nearest neighbours answer many units alike. A sentinel is one value, repeated,
among answers that are otherwise distinct; one value for all is a constant, which is told as a scale without content.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.seeds import generator

LEAST_REPEATS = 3
"""Equal rows that are too many for chance among distinct ones; of rows of zeros, and of numbers at an end, two are."""
LEAST_OTHERS = 5
"""Distinct answers that must stand beside repeated ones."""
TIED_SHARE = 0.01
"""Ties among the other answers above which ties are the model's way."""
SINGLE = np.finfo(np.float32)
MIX = np.uint64(0xFF51AFD7ED558CCD)
"""An odd factor that spreads bits (MurmurHash3's finaliser)."""
_NUMBERS_AT_ONCE = 2**20

Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Seen:
    """What is kept of one part's answers (a fold, a section): a hash of each unit's ``rows`` uint64 ``(n,)``, which of
    them are ``zero``, the ``values`` ``(n,)`` where an answer is one number, and how many ``columns`` there are, of
    which ``flat`` (one value), ``blunt`` (a spread below float32's resolution) or ``tiny`` (below its range)."""

    rows: NDArray[np.uint64]
    zero: NDArray[np.bool_]
    values: Float | None
    columns: int
    flat: int
    blunt: int
    tiny: int


def seen(answers: NDArray[Any]) -> Seen:
    """Look at one part's answers: ``(n,)`` numbers, ``(n, k)`` rows or ``(n, …)`` images; units without any (NaN) are
    not looked at."""
    values = np.asarray(answers)
    one = values.ndim == 1
    values = np.ascontiguousarray(values.reshape(len(values), -1))
    if np.issubdtype(values.dtype, np.floating):
        values = values[~np.isnan(values).any(axis=1)]
    flat, blunt, tiny = _scales(values)
    zero = np.asarray(~values.any(axis=1) & (values.shape[1] > 0), dtype=bool)
    numbers = values[:, 0].astype(np.float64) if one else None
    return Seen(_hashes(values), zero, numbers, values.shape[1], flat, blunt, tiny)


def joined(parts: Sequence[Seen]) -> Seen:
    """Pieces of one part, as they are read: of their scale, only whether all rows are one."""
    rows, zero = (np.concatenate([getattr(part, name) for part in parts]) for name in ("rows", "zero"))
    columns = parts[0].columns
    return Seen(rows, zero, None, columns, columns if len(np.unique(rows)) == 1 else 0, 0, 0)


def notes_of(
    parts: Sequence[Seen], units: str, value: str, *, of: str = "folds", time: Float | None = None
) -> tuple[str, ...]:
    """Everything to be said of a model's answers. ``units`` and ``value`` are words (patients, risk); ``of``: what the
    parts are; ``time``: follow-up of all units in order, where there is one and none is without an answer."""
    known = [part for part in parts if len(part.rows)]
    if not known:
        return ()
    found = [*_about_scale(known, value, of)]
    if all(part.values is not None for part in known):
        numbers = np.concatenate([part.values for part in known if part.values is not None])
        found += _about_numbers(numbers, units, value, time)
    else:
        rows, zero = (np.concatenate([getattr(part, name) for part in known]) for name in ("rows", "zero"))
        found += _about_rows(rows, zero, units, value)
    return tuple(found)


def _about_scale(parts: Sequence[Seen], value: str, of: str) -> Iterator[str]:
    """Of most columns of a part: a gene that a model gives up is its own affair."""
    ways = (
        ("flat", "is the same for all"),
        ("blunt", "spreads over less than float32 resolves at its size, so its order is rounding"),
        ("tiny", f"is below {SINGLE.tiny:.0e}, where float32 keeps no digits"),
    )
    long_enough = [part for part in parts if len(part.rows) > 1]
    for name, what in ways:
        told = sum(2 * getattr(part, name) > part.columns for part in long_enough)
        if told:
            where = "" if told == len(parts) == 1 else f" in {told} of {len(parts)} {of}"
            yield f"degenerate scale: {value} {what}{where}"


def _about_numbers(values: Float, units: str, value: str, time: Float | None) -> Iterator[str]:
    distinct, counts = np.unique(values, return_counts=True)
    for at, beside, word in ((-1, -2, "highest"), (0, 1, "lowest")):
        times = int(counts[at])
        if times < 2 or not _stands_out(times, counts):
            continue
        others = np.delete(distinct, at)
        gap = abs(distinct[at] - distinct[beside])
        if distinct[at] == 0 or gap > np.ptp(others):
            yield (
                f"{times} of {len(values)} {units} share the {word} {value} {distinct[at] + 0.0:g} exactly: "
                "rows that were never filled?"
            )
    if time is not None and len(time) == len(values):
        yield from _about_month_0(values, time, units, value)


def _about_month_0(values: Float, time: Float, units: str, value: str) -> Iterator[str]:
    start = time == 0
    if start.sum() > 1 and not start.all() and len(np.unique(values[start])) == 1:
        yield (
            f"all {start.sum()} {units} whose follow-up is 0 share the {value} {values[start][0]:g}: "
            "rows that were never filled?"
        )


def _about_rows(rows: NDArray[np.uint64], zero: NDArray[np.bool_], units: str, value: str) -> Iterator[str]:
    distinct, counts = np.unique(rows, return_counts=True)
    empty = int(zero.sum())
    if empty > 1 and _stands_out(empty, counts):
        yield f"{empty} of {len(rows)} {units} have zeros alone for {value}: rows that were never filled?"
    largest = int(counts.argmax())
    times = int(counts[largest])
    if not zero[rows == distinct[largest]].any() and times >= LEAST_REPEATS and _stands_out(times, counts):
        yield f"{times} of {len(rows)} {units} have one and the same {value}: rows that were never filled?"


def _stands_out(times: int, counts: NDArray[Any]) -> bool:
    """Whether ``times`` equal answers stand among others that are distinct; ``counts`` are of every distinct answer."""
    total, others = int(counts.sum()), int(counts.sum()) - times
    ties = others - (len(counts) - 1)
    return others >= LEAST_OTHERS and 2 * times <= total and ties <= TIED_SHARE * others


def _scales(values: NDArray[Any]) -> tuple[int, int, int]:
    """How many columns hold one value, spread too little, or are too small for float32; each column counts once."""
    if len(values) < 2 or not np.issubdtype(values.dtype, np.floating):
        flat = int((values == values[:1]).all(axis=0).sum()) if len(values) > 1 else 0
        return flat, 0, 0
    low, high = values.min(axis=0).astype(np.float64), values.max(axis=0).astype(np.float64)
    size = np.maximum(np.abs(low), np.abs(high))
    flat = low == high
    tiny = ~flat & (size < float(SINGLE.tiny))
    with np.errstate(over="ignore"):
        blunt = ~flat & ~tiny & (high - low <= float(SINGLE.eps) * size)
    return int(flat.sum()), int(blunt.sum()), int(tiny.sum())


def _hashes(values: NDArray[Any]) -> NDArray[np.uint64]:
    """A 64-bit hash of each row ``(n, k)``: the sum, modulo 2^64, of its mixed bits times odd random factors."""
    words = values + values.dtype.type(0)  # -0.0 and 0.0 are one value
    bits = words.view(np.dtype(f"u{values.dtype.itemsize}"))
    factors = 2 * generator(0, "rows of answers").integers(0, 2**63, values.shape[1], dtype=np.uint64) + np.uint64(1)
    found = np.empty(len(values), dtype=np.uint64)
    height = max(1, _NUMBERS_AT_ONCE // max(values.shape[1], 1))
    for start in range(0, len(values), height):
        piece = bits[start : start + height].astype(np.uint64)
        piece ^= piece >> np.uint64(32)  # else numbers that differ in their highest bits alone are easily one
        piece *= MIX
        piece ^= piece >> np.uint64(29)
        found[start : start + height] = (piece * factors).sum(axis=1, dtype=np.uint64)
    return found
