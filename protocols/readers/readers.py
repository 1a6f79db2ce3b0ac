"""Reads one slide of a manifest with the reader that the cohort names."""

from __future__ import annotations

from pathlib import Path

from protocols.errors import refuse_unknown_keys
from protocols.expression.cohort import SlideData, SlideEntry
from protocols.registry import load_reader
from protocols.task import Reader


def slide_reader(name: str) -> Reader:
    """The reader of slides of that name."""
    return load_reader("expression", name)


def manifest_columns(reader: Reader) -> tuple[str, ...]:
    """Every column that a manifest of this reader may have."""
    return ("slide", "patient", "cancer", *reader.columns, *reader.optional_columns, *reader.option_columns)


def read_slide(reader: str, entry: SlideEntry, root: Path) -> SlideData:
    """One slide, read and checked whole; ``root`` is the folder that the entry's files are relative to."""
    found = slide_reader(reader)
    where = f"slide {entry.slide}"
    refuse_unknown_keys(entry.files, (*found.columns, *found.optional_columns), where=where)
    refuse_unknown_keys(entry.options, found.option_columns, where=where)
    slide: SlideData = found.read(entry, root)
    return slide
