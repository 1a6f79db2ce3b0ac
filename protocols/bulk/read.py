"""Reads a cohort of the task: slides with bulk expression, or sections with spatial transcriptomics."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from protocols.bulk.cohort import BulkCohort
from protocols.bulk.sections import read_sections
from protocols.bulk.store import write_bulk_store
from protocols.errors import UserError, refuse_unknown_keys
from protocols.images.tiling import lay_tiles, write_tiles
from protocols.readers.manifest import read_manifest
from protocols.registry import load_reader
from protocols.task import CohortRequest, Reader


def data_files(request: CohortRequest) -> list[Path]:
    """Of slides: what the reader says that it reads for these ``files``. Of sections: the manifest, what it names, and
    the meta-modules."""
    entry = request.entry
    if entry.sections_of:
        slides = read_manifest(entry.manifest, entry.root, entry.reader)
        named = [entry.root / name for slide in slides for name in slide.files.values()]
        return [entry.manifest, *named, *([entry.modules] if entry.modules else [])]
    reader = _reader(request.name, entry.reader, entry.files)
    if reader.data_files is None:
        raise UserError(
            f"reader {reader.name} does not say what it reads",
            where=f"cohorts.bulk.{request.name}",
            expected="a Reader with data_files",
            remedy="mend the package that brings the reader",
        )
    return list(reader.data_files(entry.root, **entry.files))


def read(request: CohortRequest, folder: Path) -> None:
    """Write the cohort into ``folder`` and lay tiles over the tissue of its slides."""
    entry, name = request.entry, request.name
    if entry.sections_of:
        read_sections(request, folder)
        return
    cohort = read_bulk(name, entry.reader, entry.root, entry.files)
    store = write_bulk_store(folder, cohort, phantom=entry.truth is not None, root=entry.root)
    print(f"{name}: {len(store.patients)} patients, {len(store.slides)} slides, {len(store.genes)} genes")
    for item in store.excluded:
        print(f"  left out: {item.what}: {item.reason}")
    write_tiles(folder, lay_tiles(name, store.slides, entry.root, request.settings.tile, request.seed))


def read_bulk(name: str, reader: str, root: Path, options: Mapping[str, Any]) -> BulkCohort:
    """Read and check a cohort; ``options`` are the reader's keyword arguments, and an unknown one is an error."""
    cohort: BulkCohort = _reader(name, reader, options).read(name, root, **options)
    return cohort


def _reader(cohort: str, name: str, options: Mapping[str, Any]) -> Reader:
    """The reader, once it takes every option that is given and is given every one that it needs."""
    reader, where = load_reader("bulk", name), f"cohorts.bulk.{cohort}.files"
    known = {
        key: value
        for key, value in inspect.signature(reader.read.load()).parameters.items()
        if value.kind is value.KEYWORD_ONLY
    }
    refuse_unknown_keys(options, known, where=where)
    for key, parameter in known.items():
        if parameter.default is parameter.empty and key not in options:
            raise UserError(f"no {key}", where=where, expected=f"it, for the reader {name}", remedy="set it")
    return reader
