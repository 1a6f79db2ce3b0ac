"""Reads a cohort of treated patients through its reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from protocols.registry import load_reader
from protocols.response.store import write_response_store
from protocols.task import CohortRequest

TABLES = ("outcome", "clinical", "proteins")


def data_files(request: CohortRequest) -> list[Path]:
    """The tables that the entry names, and what the reader brings itself."""
    entry, reader = request.entry, load_reader("response", request.entry.reader)
    named = [entry.root / value for key in TABLES if (value := getattr(entry, key)) is not None]
    return named + (reader.data_files(entry.root, **_options(request)) if reader.data_files is not None else [])


def read(request: CohortRequest, folder: Path) -> None:
    """Write the checked tables into ``folder``."""
    entry = request.entry
    cohort = load_reader("response", entry.reader).read(request.name, entry.root, **_options(request))
    write_response_store(folder, cohort, phantom=entry.truth is not None)


def _options(request: CohortRequest) -> dict[str, Any]:
    """The reader's own keys that the entry gives; it knows best what the others are."""
    reader = load_reader("response", request.entry.reader)
    given = {key: getattr(request.entry, key) for key in (*reader.required, *reader.options)}
    return {key: value for key, value in given.items() if value is not None}
