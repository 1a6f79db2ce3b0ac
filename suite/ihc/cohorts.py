"""The cohorts of paired patches that ``params.yaml`` names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import typer

from protocols.cohorts.ihc4bc import read_ihc4bc
from protocols.errors import UserError, look_up, refuse_unknown_keys
from protocols.files import sha256_of_files
from protocols.ihc.cohort import counted, marker_of
from protocols.ihc.filters import FilterRules, effect, effect_rows, filtered, measured
from protocols.ihc.store import IhcStore, write_ihc_store
from suite.config import Config, IhcCohortConfig
from suite.places import IHC


@dataclass(frozen=True)
class Board:
    """One marker of one cohort: a leaderboard of its own."""

    cohort: str
    marker: str

    @property
    def name(self) -> str:
        return f"{self.cohort}_{self.marker}"


def ihc_config(config: Config, name: str) -> IhcCohortConfig:
    return look_up(name, config.ihc.cohorts, kind="cohort of paired patches", where="ihc.cohorts")


def boards(config: Config) -> list[Board]:
    """Every marker of every cohort, in the order of ``params.yaml``; a marker may be written in any way ("Her2")."""
    return [
        Board(name, marker)
        for name, entry in config.ihc.cohorts.items()
        for marker in dict.fromkeys(marker_of(one, f"ihc.cohorts.{name}.markers") for one in entry.markers)
    ]


def stored(config: Config, name: str) -> IhcStore:
    return IhcStore(IHC / name, ihc_config(config, name).root)


def aligned_hash(config: Config, name: str) -> str:
    """Hash of the registered twin's images, which only oracle and phantom-only scores read; empty without one."""
    entry = ihc_config(config, name)
    if entry.aligned is None:
        return ""
    files = sorted({entry.aligned / str(path) for path in stored(config, name).table["ihc"]})
    # A twin that is missing is an error of whoever reads it, and only of theirs.
    return sha256_of_files([file for file in files if file.exists()], entry.aligned)


def filter_rules(entry: IhcCohortConfig, name: str) -> FilterRules:
    """The paper's filters with this cohort's numbers; None switches one off."""
    known = {field.name for field in fields(FilterRules)}
    refuse_unknown_keys(entry.filters, known, where=f"ihc.cohorts.{name}.filters")
    return replace(FilterRules(), **entry.filters)  # type: ignore[arg-type]


def read_ihc_cohort(config: Config, name: str) -> IhcStore:
    """Read one cohort into ``runs/ihc/<name>``, less what the filters leave out; says what each one does."""
    entry = ihc_config(config, name)
    if not entry.root.exists():
        raise UserError(
            "no such folder",
            where=entry.root,
            expected=f"the files of cohort {name}",
            remedy=f"run `dvc pull`, or set ihc.cohorts.{name}.root",
        )
    cohort = read_ihc4bc(
        name,
        entry.root,
        images=entry.images,
        labels=entry.labels,
        markers=tuple(entry.markers),
        stride_share=entry.stride_share,
        workers=config.workers,
    )
    rules = filter_rules(entry, name)
    measures = measured(cohort.patches, cohort, rules)
    for line in _told(effect_rows(effect(cohort, rules, measures))):
        typer.echo(f"  filters: {line}")
    kept = filtered(cohort, rules, measures)
    store = write_ihc_store(
        IHC / name,
        kept,
        tile_px=config.ihc.tile_px,
        source_px=config.ihc.source_px,
        phantom=entry.truth is not None,
        workers=config.workers,
    )
    for reason, number in counted(store.excluded).items():
        typer.echo(f"  left out: {number} patches: {reason}")
    return store


def _told(rows: list[dict[str, object]]) -> Iterator[str]:
    for row in rows:
        yield ", ".join(f"{key} {value}" for key, value in row.items())
