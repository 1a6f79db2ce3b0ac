"""Paired H&E and IHC patches as a reader returns them: names, places and labels, no pixels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from protocols.contract import FloatArray
from protocols.errors import look_up
from protocols.splits import Exclusion

MARKERS = ("ER", "PR", "Ki67", "HER2")
DAB_MARKERS = ("ER", "PR", "Ki67")
"""Nuclear markers: IHC4BC measured DAB per nucleus for these alone; HER2 has one status a case."""
FLAGS = ("a", "0", "d")
"""A person looked at the DAB measurement: trusted, set to zero by hand, discarded."""
STRIDE_SHARE = 0.5
"""IHC4BC moves 1,500 px between patches of 3,000 px, so neighbours share half of their pixels."""


@dataclass(frozen=True, slots=True)
class PatchLabel:
    """One row of a label file; its DAB values stay in the file (``length`` bytes from byte ``offset``).

    ``he_nuclei`` counts the nuclei of the H&E patch (the H-score's denominator), ``ihc_nuclei`` the DAB values,
    one a nucleus of the IHC patch; the two sets of nuclei are not the same cells.
    """

    flag: str
    he_nuclei: int
    ihc_nuclei: int
    file: str
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class PatchPair:
    """An H&E patch and its IHC partner. Paths are relative to the cohort's root, sizes in pixels.

    ``patient`` is empty where it is unknown. ``row`` and ``column`` count strides within the subregion.
    """

    marker: str
    name: str
    patient: str
    subregion: str
    row: int
    column: int
    he: str
    ihc: str
    width: int
    height: int
    label: PatchLabel | None = None


@dataclass(frozen=True, eq=False)
class IhcCohort:
    """Patches sorted by marker, patient, subregion, row and column; ``excluded`` names all that was left out."""

    name: str
    root: Path
    patches: tuple[PatchPair, ...]
    stride_share: float = STRIDE_SHARE
    excluded: tuple[Exclusion, ...] = ()

    @property
    def markers(self) -> tuple[str, ...]:
        present = {patch.marker for patch in self.patches}
        return tuple(marker for marker in MARKERS if marker in present)

    @property
    def patients(self) -> tuple[str, ...]:
        """Known patients, sorted."""
        return tuple(sorted({patch.patient for patch in self.patches if patch.patient}))


def marker_of(text: str, where: object) -> str:
    """The marker's name here ("HER2") for any way of writing it ("Her2", "ki-67")."""
    known = {marker.lower(): marker for marker in MARKERS}
    plain = "".join(letter for letter in text.lower() if letter.isalnum())
    return known[plain] if plain in known else look_up(text, {one: one for one in MARKERS}, kind="marker", where=where)


def in_order(patches: Iterable[PatchPair]) -> tuple[PatchPair, ...]:
    def key(one: PatchPair) -> tuple[int, str, str, int, int, str]:
        return MARKERS.index(one.marker), one.patient, one.subregion, one.row, one.column, one.name

    return tuple(sorted(patches, key=key))


def counted(excluded: Iterable[Exclusion]) -> dict[str, int]:
    """How many things each reason left out, most frequent first."""
    return dict(Counter(item.reason for item in excluded).most_common())


def read_dab(root: Path, label: PatchLabel) -> FloatArray:
    """Mean DAB optical density of every IHC nucleus as the file gives it, float32 ``(ihc_nuclei,)``."""
    with (root / label.file).open("rb") as file:
        file.seek(label.offset)
        return parse_dab(file.read(label.length).rstrip(b"\r\n").split(b",")[3:])


def parse_dab(fields: list[bytes]) -> FloatArray:
    """Values of a row's last columns; blanks at its end (rows padded to one width) are no values.

    Raises :class:`ValueError` for anything else that is not a finite number.
    """
    while fields and not fields[-1].strip():
        fields = fields[:-1]
    values = np.array([float(field) for field in fields], dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError("a DAB value is not finite")
    return values.astype(np.float32)


def scored_dab(values: FloatArray, flag: str) -> FloatArray:
    """What an H-score is made of: zeros where a person set the label to zero by hand, else the values."""
    return np.zeros_like(values) if flag == "0" else values


def without_overlap(cohort: IhcCohort) -> IhcCohort:
    """A cohort of which no two patches share a pixel: the first of each overlapping group is kept, in row order.

    For scores in which every pixel is to count once; a split by patient needs no such thinning.
    """
    taken: dict[tuple[str, str], list[tuple[int, int]]] = {}
    kept, excluded = [], []
    for patch in cohort.patches:
        others = taken.setdefault((patch.marker, patch.subregion), [])
        here = (patch.row, patch.column)
        if any(overlap(here, other, cohort.stride_share) for other in others):
            excluded.append(Exclusion(f"{patch.marker} patch {patch.name}", "overlaps a patch that is kept"))
        else:
            others.append(here)
            kept.append(patch)
    return IhcCohort(cohort.name, cohort.root, tuple(kept), cohort.stride_share, (*cohort.excluded, *excluded))


def overlap(a: tuple[int, int], b: tuple[int, int], stride_share: float) -> bool:
    """Whether two windows (row, column) of one subregion share a pixel: a stride is ``stride_share`` of a side."""
    return all(abs(one - other) * stride_share < 1.0 for one, other in zip(a, b, strict=True))
