"""Reads a cohort of patients: its tables through its reader, tiles over the tissue of its slides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from protocols.images.tiling import lay_tiles, write_tiles
from protocols.readers.patient_tables import read_slides, split_files
from protocols.registry import load_reader
from protocols.survival.cohort import PatientCohort
from protocols.survival.store import write_patient_store
from protocols.task import CohortRequest

TABLES = ("table", "outcome", "clinical", "genomic", "proteins", "slides", "signatures")


def data_files(request: CohortRequest) -> list[Path]:
    """The tables that the entry names, the slides or bags that its list of slides names, the files of its published
    folds, and what the reader brings itself; nothing else that lies in the root."""
    entry, reader = request.entry, load_reader("survival", request.entry.reader)
    named = [entry.root / value for key in TABLES if (value := getattr(entry, key)) is not None]
    if entry.slides is not None:
        named += [entry.root / slide.path for slide in read_slides(entry.root / entry.slides, entry.root)]
    if entry.splits is not None:
        named += split_files(entry.root / entry.splits)
    if reader.data_files is not None:
        named += reader.data_files(entry.root, **_options(request))
    return named


def read(request: CohortRequest, folder: Path) -> None:
    """Write the checked tables and the tiles of every slide into ``folder``."""
    entry = request.entry
    cohort = read_patients(request.name, entry.reader, entry.root, **_options(request))
    store = write_patient_store(folder, cohort, phantom=entry.truth is not None, root=entry.root)
    write_tiles(folder, lay_tiles(request.name, store.slides, entry.root, request.settings.tile, request.seed))


def _options(request: CohortRequest) -> dict[str, Any]:
    """The reader's own keys that the entry gives; it knows best what the others are."""
    reader = load_reader("survival", request.entry.reader)
    given = {key: getattr(request.entry, key) for key in (*reader.required, *reader.options)}
    return {key: value for key, value in given.items() if value is not None}


def read_patients(name: str, reader: str, root: Path, **options: Any) -> PatientCohort:
    """The checked tables of a cohort; ``options``: the reader's own keys."""
    found = load_reader("survival", reader)
    cohort: PatientCohort = found.read(name, root, **options)
    return cohort
