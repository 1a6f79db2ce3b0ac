"""HEX's published folds: a CSV ``patient_train,train,patient_val,val`` of names of slides and of whose they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from protocols.errors import UserError
from protocols.readers import checks

COLUMNS = ("patient_train", "train", "patient_val", "val")


@dataclass(frozen=True)
class PublishedSplit:
    """Slides of one fold, each with its patient, in the file's order."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    patient: Mapping[str, frozenset[str]]
    """Whose each slide is, by the file; two where it says two."""


def read_split(path: Path) -> PublishedSplit:
    """One fold; the two halves of a row have nothing to do with each other, and the shorter ends in empty cells."""
    checks.require_file(path, "split")
    try:
        frame = pd.read_csv(path, dtype=str, encoding="utf-8-sig")
    except (OSError, ValueError, pd.errors.ParserError) as error:
        raise checks.damaged(path, "CSV", error) from error
    checks.require_columns([str(name) for name in frame.columns], COLUMNS, where=path)
    patient: dict[str, set[str]] = {}
    sides = []
    for owner, name in (COLUMNS[:2], COLUMNS[2:]):
        half = frame[[owner, name]].dropna(how="all")
        if half.isna().any(axis=None):
            raise UserError(
                f"{int(half.isna().any(axis=1).sum())} rows have one of {owner} and {name}", where=path,
                expected="both or neither", remedy="fill in the other",
            )  # fmt: skip
        if half.empty:
            raise UserError(f"no slide in {name}", where=path, expected="slides on both sides", remedy="fetch it again")
        slides = [_bare(one) for one in half[name]]
        for slide, person in zip(slides, half[owner].str.strip(), strict=True):
            patient.setdefault(slide, set()).add(person)
        sides.append(tuple(slides))
    return PublishedSplit(sides[0], sides[1], {slide: frozenset(people) for slide, people in patient.items()})


def audit_split(split: PublishedSplit, copies: Sequence[tuple[str, str]] = ()) -> tuple[str, ...]:
    """What is wrong with a fold, one line each; nothing where nothing is.

    ``copies``: pairs of slides that are one (:func:`copied_slides`).
    """
    train, validation = set(split.train), set(split.validation)
    faults = []
    both = sorted(train & validation)
    if both:
        faults.append(f"{len(both)} slides are trained on and validated: {_few(both)}")
    people = [set().union(*(split.patient[slide] for slide in side)) for side in (train, validation)]
    shared = sorted(people[0] & people[1])
    if shared:
        faults.append(f"{len(shared)} patients are on both sides: {_few(shared)}")
    for side, slides in (("train", split.train), ("val", split.validation)):
        twice = sorted({slide for slide in slides if slides.count(slide) > 1})
        if twice:
            faults.append(f"{len(twice)} slides occur more than once in {side}: {_few(twice)}")
    torn = sorted(slide for slide, owners in split.patient.items() if len(owners) > 1)
    if torn:
        faults.append(f"{len(torn)} slides belong to more than one patient: {_few(torn)}")
    across = [
        f"{one} = {other}" for one, other in copies if len({one, other} & train) == len({one, other} & validation) == 1
    ]
    if across:
        faults.append(f"{len(across)} slides are copies of one on the other side: {_few(across)}")
    return tuple(faults)


def copied_slides(tables: Mapping[str, pd.DataFrame]) -> tuple[tuple[str, str], ...]:
    """Pairs of slides whose tables hold the same intensities, row by row, whatever the slides are called."""
    seen: dict[bytes, str] = {}
    pairs = []
    for slide, table in tables.items():
        channels = [str(name) for name in table.columns if str(name).startswith("mean_intensity_channel")]
        key = table[sorted(channels)].to_numpy(float).tobytes()
        if key in seen:
            pairs.append((seen[key], slide))
        seen.setdefault(key, slide)
    return tuple(pairs)


def _bare(name: str) -> str:
    """Names of slides with and without the suffix of their file are one."""
    text = name.strip()
    return text[:-4] if text.lower().endswith((".svs", ".csv", ".png")) else text


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
