"""What reports say of a record's parts: weights, cohort, cost. Plain reading of the record, no judgement."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from protocols.errors import UserError
from protocols.records import ScoreRecord

WeightsState = Literal["none", "random", "partly random", "file", "hub", "file and hub", "predictions only", "unknown"]
PREDICTIONS_ONLY = "predictions only"
"""The weights' source and the profile of an answer that was handed in as a table."""
HASH_SHOWN = 12
"""Characters of a hash or revision that are shown; the whole value stands in the JSON."""


@dataclass(frozen=True)
class WeightsPart:
    """One part's starting weights: ``state`` and the words that identify them; ``sees``: what a frozen encoder sees."""

    part: str
    state: Literal["none", "random", "file", "hub", "predictions only"]
    text: str
    sees: str = ""


@dataclass(frozen=True)
class Weights:
    """Where a model's starting weights came from, over all of its parts."""

    state: WeightsState
    parts: tuple[WeightsPart, ...]

    @property
    def has_random(self) -> bool:
        return self.state in ("random", "partly random")


@dataclass(frozen=True)
class Cohort:
    """The data that a leaderboard shows; counts are None where the record does not say."""

    name: str
    phantom: bool
    slides: int | None
    patients: int | None
    cells: int | None
    unit: str
    unknown_patients: int = 0
    published_in: tuple[str, ...] = ()
    events: int | None = None
    endpoint: str = ""
    target: str = ""

    @property
    def nature(self) -> str:
        if not self.phantom:
            return "real"
        return "simulated tissue" if "phantom" in self.name.lower() else "phantom (simulated tissue)"


@dataclass(frozen=True)
class Cost:
    """What a cell of the matrix took; every field is None where it was not measured."""

    seconds: float | None = None
    peak_memory_mib: float | None = None
    peak_gpu_memory_mib: float | None = None
    device: str | None = None
    units_per_second: float | None = None


def describe_weights(records: Sequence[Mapping[str, Any]], *, kind: str = "model") -> Weights:
    """Summarise the weights records of one model.

    A part whose record has a revision came from a hub, any other named source is a file. A *model* without any
    weights record says nothing about its weights ("unknown"); a control has none.
    """
    parts = tuple(_part(record) for record in records)
    states = {part.state for part in parts} - {"none"}
    if not parts:
        return Weights("unknown" if kind == "model" else "none", ())
    if not states:
        return Weights("none", parts)
    if "predictions only" in states:
        return Weights("predictions only", parts)
    if "random" in states:
        return Weights("random" if states == {"random"} else "partly random", parts)
    if states == {"file", "hub"}:
        return Weights("file and hub", parts)
    return Weights("hub" if states == {"hub"} else "file", parts)


def _part(record: Mapping[str, Any]) -> WeightsPart:
    return replace(_loaded(record), sees=_sees(record))


def _sees(record: Mapping[str, Any]) -> str:
    um, mpp = record.get("seen_um"), record.get("seen_mpp")
    return "" if um is None or mpp is None else f"sees {um:.4g} µm at {mpp:.3g} µm a pixel"


def _loaded(record: Mapping[str, Any]) -> WeightsPart:
    part, source = str(record.get("part", "")), str(record.get("source", ""))
    revision, sha256 = record.get("revision"), record.get("sha256")
    if source == "none":
        return WeightsPart(part, "none", "none")
    if source == PREDICTIONS_ONLY:
        return WeightsPart(part, "predictions only", "not known: only predictions were handed in")
    if source == "random":
        return WeightsPart(part, "random", "random start")
    told = f" (sha256 {str(sha256)[:HASH_SHOWN]})" if sha256 else ""
    if revision:
        return WeightsPart(part, "hub", f"{source} @ {str(revision)[:HASH_SHOWN]}{told}")
    # Only the file's name: the folder belongs to one machine and says nothing to a reader.
    name = PurePosixPath(source.replace("\\", "/")).name
    return WeightsPart(part, "file", f"{name}{told}")


def describe_cohort(fields: Mapping[str, Any]) -> Cohort:
    """Read a record's cohort entry: ``name``, ``phantom``, ``unit``, ``n_slides``, ``n_patients``, ``n_cells``."""
    return Cohort(
        name=str(fields.get("name", "unnamed cohort")),
        phantom=bool(fields.get("phantom", False)),
        slides=_count(fields.get("n_slides", fields.get("slides"))),
        patients=_count(fields.get("n_patients", fields.get("patients"))),
        cells=_count(fields.get("n_cells", fields.get("cells"))),
        unit=str(fields.get("unit", "cell")),
        unknown_patients=_count(fields.get("n_unknown_patients")) or 0,
        published_in=tuple(str(source) for source in fields.get("published_in") or ()),
        events=_count(fields.get("n_events")),
        endpoint=str(fields.get("endpoint") or ""),
        target=str(fields.get("target") or ""),
    )


def _count(value: object) -> int | None:
    if isinstance(value, (list, tuple, dict)):
        return len(value)
    return int(value) if isinstance(value, (int, float)) else None


def read_cost(timings: Path | None, record: ScoreRecord) -> Cost:
    """Time and memory of one cell from ``<timings>/<protocol>/<board>/<model>.json``; all None without such a file."""
    path = timings / record.protocol / record.board / f"{record.model}.json" if timings is not None else None
    if path is None or not path.is_file():
        return Cost()
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        numbers = {
            key: None if fields.get(key) is None else float(fields[key])
            for key in ("seconds", "peak_memory_mib", "peak_gpu_memory_mib", "units_per_second")
        }
        device = fields.get("device_name") or fields.get("device")
        return Cost(device=None if device is None else str(device), **numbers)
    except (json.JSONDecodeError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"unreadable timing ({error})",
            where=path,
            expected='an object with "seconds", "peak_memory_mib", "device", "units_per_second"',
            remedy="delete the file or run the cell again",
        ) from error
