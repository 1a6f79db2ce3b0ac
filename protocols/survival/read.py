"""Reads a cohort of patients: its tables through its reader, tiles over the tissue of its slides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from protocols.images.tiling import lay_tiles, write_tiles
from protocols.readers.patient_tables import read_slides
from protocols.registry import load_reader
from protocols.survival.cohort import PatientCohort
from protocols.survival.store import PatientStore, write_patient_store
from protocols.task import CohortRequest

PATHS = ("table", "outcome", "clinical", "genomic", "slides", "signatures", "splits")


def data_files(request: CohortRequest) -> list[Path]:
    """The tables that the entry names, and the slides that its list of slides names."""
    entry = request.entry
    named = [entry.root / value for key in PATHS if (value := getattr(entry, key)) is not None]
    if entry.slides is not None:
        named += [entry.root / slide.path for slide in read_slides(entry.root / entry.slides, entry.root)]
    return named


def read(request: CohortRequest, folder: Path) -> None:
    """Write the checked tables and the tiles of every slide into ``folder``."""
    entry = request.entry
    reader = load_reader("survival", entry.reader)
    options = {key: getattr(entry, key) for key in (*reader.required, *reader.options)}
    cohort = read_patients(request.name, entry.reader, entry.root, **options)
    store = write_patient_store(folder, cohort, phantom=entry.truth is not None, root=entry.root)
    write_tiles(folder, lay_tiles(request.name, store.slides, entry.root, request.settings.tile, request.seed))


def read_patients(name: str, reader: str, root: Path, **options: Any) -> PatientCohort:
    """The checked tables of a cohort; ``options``: the reader's own keys."""
    found = load_reader("survival", reader)
    placed = (name, root) if found.required else (name,)
    cohort: PatientCohort = found.read(*placed, **{"endpoint": "overall survival", **options})
    return cohort


def open_store(_request: CohortRequest, folder: Path) -> PatientStore:
    return PatientStore(folder)
