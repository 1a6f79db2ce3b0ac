"""Reads a cohort of paired patches: a listing with hashes, less what filters leave out; pixels stay where they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path

from protocols.errors import refuse_unknown_keys
from protocols.protocol import Board, Protocol
from protocols.registry import load_reader
from protocols.staining.cohort import IhcCohort, counted, marker_of
from protocols.staining.filters import FilterRules, effect, effect_rows, filtered, measured
from protocols.staining.settings import PairsEntry
from protocols.staining.store import IhcStore, write_ihc_store
from protocols.task import CohortRequest


def markers_of(name: str, entry: PairsEntry) -> list[str]:
    """The markers of an entry by their names here; each may be written in any way ("Her2")."""
    return list(dict.fromkeys(marker_of(one, f"cohorts.staining.{name}.markers") for one in entry.markers))


def boards(protocol: Protocol, cohorts: Mapping[str, CohortRequest]) -> list[Board]:
    """Every marker of every cohort is a board of its own."""
    return [
        Board(protocol.name, f"{name}_{marker}", name, name, marker)
        for name, request in cohorts.items()
        for marker in markers_of(name, request.entry)
    ]


def data_files(request: CohortRequest) -> list[Path]:
    """The folders of both sides of each marker, the labels, and the registered twin's IHC."""
    entry = request.entry
    found = [] if entry.labels is None else [entry.root / entry.labels]
    wanted = set(markers_of(request.name, entry))
    for root, sides in ((entry.root, ("HandE", "IHC")), (entry.aligned, ("IHC",))):
        for side in sides if root is not None else ():
            folder = root / entry.images / side
            there = [path for path in sorted(folder.iterdir()) if path.is_dir()] if folder.is_dir() else []
            found += [path for path in there if _marker_or_none(path.name) in wanted]
    return [path for path in found if path.exists()]


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


def open_store(request: CohortRequest, folder: Path) -> IhcStore:
    return IhcStore(folder, request.entry.root)


def filter_rules(entry: PairsEntry, name: str) -> FilterRules:
    """The paper's filters with this cohort's numbers; None switches one off."""
    known = {field.name for field in fields(FilterRules)}
    refuse_unknown_keys(entry.filters, known, where=f"cohorts.staining.{name}.filters")
    return replace(FilterRules(), **entry.filters)  # type: ignore[arg-type]


def _marker_or_none(name: str) -> str | None:
    from protocols.errors import UserError

    try:
        return marker_of(name, "a folder")
    except UserError:  # a folder of something else: the reader says what it wants
        return None
