"""Reads a cohort of slides: each once, checked whole, units and what was measured kept by row number."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from protocols.expression.cohort import SlideData, SlideEntry
from protocols.expression.roles import measure_of
from protocols.expression.store import CohortInfo, write_store
from protocols.progress import track
from protocols.readers.manifest import read_manifest
from protocols.readers.readers import read_slide
from protocols.task import CohortRequest


def data_files(request: CohortRequest) -> list[Path]:
    """The manifest and every file or bundle that it names."""
    entry = request.entry
    slides = read_manifest(entry.manifest, entry.root, entry.reader)
    return [entry.manifest, *(entry.root / name for slide in slides for name in slide.files.values())]


def read(request: CohortRequest, folder: Path) -> None:
    """Write the cohort into ``folder``, one slide in memory at a time."""
    entry, crop = request.entry, request.settings.crop
    slides = _read(read_manifest(entry.manifest, entry.root, entry.reader), request)
    first = next(slides)
    info = CohortInfo(
        name=request.name,
        phantom=entry.truth is not None,
        unit=first.unit,
        crop_um=crop.um,
        crop_pixels=crop.pixels,
        measure=measure_of(request).name,
    )
    write_store(folder, info, _chain(first, slides), entry.root)


def _read(entries: list[SlideEntry], request: CohortRequest) -> Iterator[SlideData]:
    for entry in track(entries, "reading slides"):
        yield read_slide(request.entry.reader, entry, request.entry.root)


def _chain(first: SlideData, rest: Iterator[SlideData]) -> Iterator[SlideData]:
    yield first
    yield from rest
