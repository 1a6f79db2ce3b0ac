"""Reads a cohort of the task: slides with bulk expression, or sections with spatial transcriptomics."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from protocols.bulk.cohort import BulkCohort
from protocols.bulk.store import BulkStore, write_bulk_store
from protocols.errors import UserError, refuse_unknown_keys
from protocols.images.tiling import lay_tiles, write_tiles
from protocols.readers.manifest import read_manifest
from protocols.registry import load_reader
from protocols.spatial.store import SectionsStore
from protocols.survival.cohort import SlideFile
from protocols.task import CohortRequest


def data_files(request: CohortRequest) -> list[Path]:
    """What the entry's files and the lists of slides among them name; of sections, what their manifest names."""
    entry = request.entry
    if entry.sections_of:
        slides = read_manifest(entry.manifest, entry.root, entry.reader)
        named = [entry.root / name for slide in slides for name in slide.files.values()]
        return [entry.manifest, *named, *([entry.modules] if entry.modules else [])]
    values = [value for given in entry.files.values() for value in ([given] if isinstance(given, str) else given)]
    named = [entry.root / value for value in values if (entry.root / value).exists()]
    slides_table = entry.files.get("slides")
    if isinstance(slides_table, str) and (entry.root / slides_table).is_file():
        named += [entry.root / slide.path for slide in _slides(entry.root / slides_table, entry.root)]
    return named


def read(request: CohortRequest, folder: Path) -> None:
    """Write the cohort into ``folder`` and lay tiles over the tissue of its slides."""
    entry, name = request.entry, request.name
    if entry.sections_of:
        from protocols.bulk.sections import read_sections

        read_sections(request, folder)
        return
    cohort = read_bulk(name, entry.reader, entry.root, entry.files)
    store = write_bulk_store(folder, cohort, phantom=entry.truth is not None, root=entry.root)
    print(f"{name}: {len(store.patients)} patients, {len(store.slides)} slides, {len(store.genes)} genes")
    for item in store.excluded:
        print(f"  left out: {item.what}: {item.reason}")
    write_tiles(folder, lay_tiles(name, store.slides, entry.root, request.settings.tile, request.seed))


def open_store(request: CohortRequest, folder: Path) -> BulkStore | SectionsStore:
    return SectionsStore(folder) if request.entry.sections_of else BulkStore(folder)


def read_bulk(name: str, reader: str, root: Path, options: dict[str, Any]) -> BulkCohort:
    """Read and check a cohort; ``options`` are the reader's keyword arguments, and an unknown one is an error."""
    read = load_reader("bulk", reader).read.load()
    known = {
        key: value for key, value in inspect.signature(read).parameters.items() if value.kind is value.KEYWORD_ONLY
    }
    refuse_unknown_keys(options, known, where=f"cohorts.bulk.{name}.files")
    for key, parameter in known.items():
        if parameter.default is parameter.empty and key not in options:
            raise UserError(
                f"no {key}",
                where=f"cohorts.bulk.{name}.files",
                expected=f"it, for the reader {reader}",
                remedy="set it",
            )
        cohort: BulkCohort = read(name, root, **options)
    return cohort


def _slides(path: Path, root: Path) -> tuple[SlideFile, ...]:
    from protocols.readers.patient_tables import read_slides

    try:
        return tuple(read_slides(path, root))
    except UserError:  # a list of another form: its reader says what is wrong with it when it is read
        return ()
