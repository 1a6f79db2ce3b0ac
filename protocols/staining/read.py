"""Reads a cohort of paired patches: a listing with hashes, less what filters leave out; pixels stay where they are."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

from protocols.errors import refuse_unknown_keys
from protocols.readers.ihc4bc import HE, IHC, image_files
from protocols.readers.ihc4bc_labels import label_files
from protocols.registry import load_reader
from protocols.staining.boards import markers_of
from protocols.staining.cohort import IhcCohort, counted
from protocols.staining.filters import FilterRules, effect, effect_rows, filtered, measured
from protocols.staining.settings import PairsEntry
from protocols.staining.store import write_ihc_store
from protocols.task import CohortRequest


def data_files(request: CohortRequest) -> list[Path]:
    """Images and labels of the entry's markers, and the same IHC images below the registered twin's root.

    A twin that lacks one is an error of whoever reads it, and only of theirs.
    """
    entry, markers = request.entry, markers_of(request.name, request.entry)
    he, ihc = (image_files(entry.root, entry.images, side, markers) for side in (HE, IHC))
    labels = [] if entry.labels is None else [entry.root / entry.labels]
    tables = [path for base in labels for marker in markers for path in label_files(base, marker)]
    twin = [] if entry.aligned is None else [entry.aligned / path.relative_to(entry.root) for path in ihc]
    return [*he, *ihc, *tables, *(path for path in twin if path.is_file())]


def read(request: CohortRequest, folder: Path) -> None:
    """Write the listing into ``folder``; says what each filter does."""
    entry, settings = request.entry, request.settings
    cohort: IhcCohort = load_reader("staining", entry.reader).read(
        request.name,
        entry.root,
        images=entry.images,
        labels=entry.labels,
        markers=tuple(entry.markers),
        stride_share=entry.stride_share,
        workers=request.workers,
    )
    rules = filter_rules(entry, request.name)
    measures = measured(cohort.patches, cohort, rules)
    for row in effect_rows(effect(cohort, rules, measures)):
        print(f"  filters: {', '.join(f'{key} {value}' for key, value in row.items())}")
    store = write_ihc_store(
        folder,
        filtered(cohort, rules, measures),
        tile_px=settings.tile_px,
        source_px=settings.source_px,
        phantom=entry.truth is not None,
        workers=request.workers,
    )
    for reason, number in counted(store.excluded).items():
        print(f"  left out: {number} patches: {reason}")


def filter_rules(entry: PairsEntry, name: str) -> FilterRules:
    """The paper's filters with this cohort's numbers; None switches one off."""
    known = {field.name for field in fields(FilterRules)}
    refuse_unknown_keys(entry.filters, known, where=f"cohorts.staining.{name}.filters")
    return replace(FilterRules(), **entry.filters)  # type: ignore[arg-type]
