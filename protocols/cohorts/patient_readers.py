"""Readers of patient cohorts by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from protocols.cohorts.gse7390 import read_gse7390
from protocols.cohorts.mcat_tables import read_mcat
from protocols.cohorts.patient_tables import read_tidy
from protocols.errors import UserError, look_up
from protocols.survival.cohort import PatientCohort


@dataclass(frozen=True)
class PatientSource:
    """Where a cohort of patients lies; every path but ``root`` is relative to it."""

    name: str
    reader: str
    root: Path
    table: str | None = None
    outcome: str | None = None
    clinical: str | None = None
    genomic: str | None = None
    slides: str | None = None
    signatures: str | None = None
    splits: str | None = None
    endpoint: str = "overall survival"


def read_patients(source: PatientSource) -> PatientCohort:
    """Read and check a cohort with the reader that it names."""
    return look_up(source.reader, READERS, kind="reader of patients", where=f"cohort {source.name}")(source)


def _mcat(source: PatientSource) -> PatientCohort:
    _refuse_others(source, ("table", "slides", "signatures", "splits"))
    return read_mcat(
        source.name,
        source.root,
        table=_required(source, "table"),
        slides=source.slides,
        signatures=source.signatures,
        splits=source.splits,
        endpoint=source.endpoint,
    )


def _tidy(source: PatientSource) -> PatientCohort:
    _refuse_others(source, ("outcome", "clinical", "genomic", "slides", "signatures", "splits"))
    return read_tidy(
        source.name,
        source.root,
        outcome=_required(source, "outcome"),
        clinical=source.clinical,
        genomic=source.genomic,
        slides=source.slides,
        signatures=source.signatures,
        splits=source.splits,
        endpoint=source.endpoint,
    )


def _gse7390(source: PatientSource) -> PatientCohort:
    _refuse_others(source, ())
    return read_gse7390(source.name, endpoint=source.endpoint)


READERS: dict[str, Callable[[PatientSource], PatientCohort]] = {"mcat": _mcat, "tidy": _tidy, "gse7390": _gse7390}
_PATHS = ("table", "outcome", "clinical", "genomic", "slides", "signatures", "splits")


def _required(source: PatientSource, key: str) -> str:
    value: str | None = getattr(source, key)
    if value is None:
        raise UserError(
            f"no {key}",
            where=f"cohort {source.name}",
            expected=f"a path, for the reader {source.reader}",
            remedy="set it",
        )
    return value


def _refuse_others(source: PatientSource, known: tuple[str, ...]) -> None:
    """A path that the reader would ignore is a mistake of whoever wrote it."""
    for key in _PATHS:
        if getattr(source, key) is not None and key not in known:
            raise UserError(
                f"{key} is set",
                where=f"cohort {source.name}",
                expected=f"of the reader {source.reader} only {', '.join(known) or 'no path'}",
                remedy=f"drop {key}, or choose another reader",
            )
