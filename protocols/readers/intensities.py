"""Intensities of proteins as a file has them: finite, 0 or more, one column a marker; nobody guesses their unit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.errors import UserError

SCALES = ((1.0, "0 to 1"), (255.0, "0 to 255 (8 bits)"), (65535.0, "0 to 65,535 (16 bits)"))
"""What values up to a number look like; said in a note, and never acted upon."""
SLACK = 1e-6
"""A scaled table's largest value may be 1.0000000000000004."""


def marker_names(names: Sequence[Any], *, where: object) -> tuple[str, ...]:
    """Names without blanks around them; one that is empty, a bare number or there twice is refused.

    Counts of one name are added up, because transcripts add up; intensities of one name are two stainings or two
    cycles, and nobody but their owner knows which counts.
    """
    clean = tuple(str(name).strip() for name in names)
    for name in clean:
        if not name or name.lower() in {"nan", "none"} or _is_number(name):
            raise UserError(
                f"a marker is called {name!r}", where=where, expected="names of markers",
                remedy="check the header: such tables are transposed or lack it",
            )  # fmt: skip
    twice = [name for name, number in Counter(clean).items() if number > 1]
    if twice:
        raise UserError(
            f"{len(twice)} markers occur more than once, e.g. {twice[0]!r}", where=where,
            expected="one column a marker", remedy="rename one, or name the columns wanted in the option markers",
        )  # fmt: skip
    return clean


def checked_intensities(values: Any, names: Sequence[str], *, where: object) -> tuple[NDArray[np.float32], str]:
    """``values`` ``(n, markers)`` of any number type as float32, and a note on their range.

    Refused: what is no number, not finite, negative, or beyond float32.
    """
    found = np.asarray(values)
    if found.dtype.kind not in "iufb":
        raise UserError(
            f"intensities are {found.dtype}", where=where, expected="numbers", remedy="remove columns of text"
        )
    if found.ndim != 2 or found.shape[1] != len(names):
        raise UserError(
            f"intensities are {found.shape}", where=where, expected=f"units × {len(names)} markers",
            remedy="write the file again",
        )  # fmt: skip
    for column, name in enumerate(names):
        _refuse_wrong(found[:, column], name, where)
    return np.ascontiguousarray(found, dtype=np.float32), range_note(found)


def _refuse_wrong(column: NDArray[Any], name: str, where: object) -> None:
    for bad, what, remedy in (
        (~np.isfinite(column), "not finite", "remove these units, or the marker"),
        (column < 0, "negative", "give the values before background was taken off or they were centred"),
        (column > np.finfo(np.float32).max, "beyond float32", "give the image's own units"),
    ):
        if bad.any():
            raise UserError(
                f"{int(bad.sum())} values of {name!r} are {what}, e.g. {column[bad][0]:g}", where=where,
                expected="finite intensities of 0 or more", remedy=remedy,
            )  # fmt: skip


def range_note(values: NDArray[Any]) -> str:
    """Smallest, largest, type, and what they look like: whoever chooses a measure reads this."""
    if not values.size:
        return "no intensities"
    low, high = float(values.min()), float(values.max())
    looks = next((text for top, text in SCALES if high <= top * (1 + SLACK)), "a unit above 16 bits")
    whole = "" if values.dtype.kind in "iub" else f", {'' if (values == np.floor(values)).all() else 'not '}whole"
    return f"intensities from {low:g} to {high:g} ({values.dtype}{whole}): they look like {looks}; used as they are"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
