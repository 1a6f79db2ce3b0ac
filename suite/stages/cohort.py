"""Stage ``cohort``: read and check every slide once, and store units and counts by row number."""

from __future__ import annotations

from collections.abc import Iterator

from protocols.cohorts.cohort import SlideData, SlideEntry
from protocols.cohorts.manifest import read_manifest
from protocols.cohorts.readers import read_slide
from protocols.cohorts.store import CohortInfo, CohortStore, write_store
from protocols.errors import UserError
from suite.config import Config
from suite.places import COHORT
from suite.progress import track


def run(config: Config) -> CohortStore:
    """Read ``config.cohort`` into ``runs/cohort``; nothing is left there if any slide is refused."""
    root = config.cohort.root
    if not root.exists():
        raise UserError(
            "no such folder", where=root, expected="the cohort's files", remedy="run `dvc pull`, or set cohort.root"
        )
    entries = read_manifest(config.cohort.manifest, root, config.cohort.reader)
    slides = _read(entries, config)
    first = next(slides)
    info = CohortInfo(
        name=config.cohort.name,
        phantom=config.cohort.truth is not None,
        unit=first.unit,
        crop_um=config.crop.um,
        crop_pixels=config.crop.pixels,
    )
    return write_store(COHORT, info, _chain(first, slides), root)


def _read(entries: list[SlideEntry], config: Config) -> Iterator[SlideData]:
    for entry in track(entries, "reading slides"):
        yield read_slide(config.cohort.reader, entry, config.cohort.root)


def _chain(first: SlideData, rest: Iterator[SlideData]) -> Iterator[SlideData]:
    yield first
    yield from rest
