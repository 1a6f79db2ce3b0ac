"""What scoring writes and reports read: one record per cell of the matrix."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from protocols.errors import UserError
from protocols.metric import Metric
from protocols.metrics.patient_values import PatientValues, plain_mean
from protocols.sealed import read_seal

RECORD_FILE = "record.json"
UNITS_FILE = "units.parquet"
MAPS_FILE = "maps.parquet"
AVERAGE = "average"
"""The board that shows the mean over cohorts."""
ADDS_UP = ("n_patients", "n_slides", "n_cells", "n_events", "n_folds")
"""Counts of a record's cohort that add up over cohorts of different people; those of genes and features do not."""


@dataclass(frozen=True)
class Interval:
    """A value with its 95 % interval over patients (NaN-free; None where undefined, and ``reason`` says why)."""

    mean: float | None
    low: float | None
    high: float | None
    n_patients: int
    reason: str = ""


Status = Literal["scored", "skipped"]
KIND = "record"


@dataclass(frozen=True)
class ScoreRecord:
    """One board x one model x one training seed, complete enough to be compared without the predictions.

    Intervals and ranks come from ``per_patient`` (the headline of each patient, the unit of every interval and test)
    or, where the headline is no mean over patients, from ``pseudo_values``: the columns of
    :class:`protocols.metrics.patient_values.PatientValues`. :attr:`values` is either. ``per_gene`` has one row a gene:
    gene, pearson, reachable and visible_share (None off the phantom). ``metrics``: what the summary's numbers are, as
    :class:`protocols.metric.Metric`, the headline first, copied from the protocol when it was scored. ``details`` is
    what the task's own figures and notices read; the task's score file says what it holds. Per-unit values stand
    beside the record in ``units.parquet``. ``schedule``: every training behind the answers, as
    :class:`protocols.contract.ScheduleRecord`; ``most_steps``: the run's cap on updates (0: none).
    """

    protocol: str
    protocol_version: str
    protocol_title: str
    model: str
    kind: str
    status: str
    reason: str
    card: dict[str, Any]
    weights: list[dict[str, Any]]
    profile: str
    seed: int
    device: str
    libraries: dict[str, str]
    cohort: dict[str, Any]
    hashes: dict[str, str]
    headline: Interval
    summary: dict[str, float | None] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    per_patient: dict[str, float] = field(default_factory=dict)
    per_gene: list[dict[str, Any]] = field(default_factory=list)
    excluded: list[dict[str, str]] = field(default_factory=list)
    task: str = "expression"
    board: str = ""
    pseudo_values: dict[str, list[Any]] = field(default_factory=dict)
    metrics: list[dict[str, Any]] = field(default_factory=list)
    place: int = 100
    notes: list[str] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)
    schedule: list[dict[str, Any]] = field(default_factory=list)
    most_steps: int = 0

    def write(self, folder: Path) -> None:
        """Write ``record.json`` into a folder that is being sealed."""
        (folder / RECORD_FILE).write_text(self.to_json(), encoding="utf-8")

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1, sort_keys=True, allow_nan=False) + "\n"

    @property
    def values(self) -> PatientValues | None:
        """The headline by patient; None where it has no value."""
        if self.pseudo_values:
            return PatientValues.from_dict(self.pseudo_values)
        return plain_mean(self.per_patient) if self.per_patient else None

    @property
    def typed_metrics(self) -> tuple[Metric, ...]:
        """The headline first."""
        return tuple(Metric(**one) for one in self.metrics)

    @classmethod
    def read(cls, folder: Path) -> ScoreRecord:
        """The record of a sealed folder, verified with all that stands beside it."""
        read_seal(folder, KIND, remedy="score the predictions again")
        path = folder / RECORD_FILE
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
            fields["headline"] = Interval(**fields["headline"])
            return cls(**fields)
        except (json.JSONDecodeError, TypeError, KeyError) as error:
            raise UserError(
                f"unreadable score record ({error})",
                where=path,
                expected="a record of this version",
                remedy="score the predictions again",
            ) from error
