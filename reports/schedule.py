"""What reports say of how long a model was trained, and whether our cap cut its own rule short."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from protocols.contract import ScheduleRecord
from protocols.records import ScoreRecord

CUT = "schedule cut"
SMOKE = "smoke test"


@dataclass(frozen=True)
class PartSchedule:
    """The trainings of one part (folds, groups, cohorts): ``least`` to ``most`` ``unit`` run, by one ``rule``."""

    part: str
    unit: str
    least: int
    most: int
    rule: str
    trainings: int
    cut: int
    """How many of them ended at our cap."""

    @property
    def length(self) -> str:
        """How long it was trained, beside what the method says of itself."""
        return f"{_span(self.least, self.most)} {self.unit}" + (f"; its own rule: {self.rule}" if self.rule else "")

    @property
    def text(self) -> str:
        """One line for a row's details."""
        several = f", {self.trainings} trainings" if self.trainings > 1 else ""
        short = f", {self.cut} of them" if 0 < self.cut < self.trainings else ""
        return f"{self.length}{several}" + (f" ({CUT}{short})" if self.cut else "")


@dataclass(frozen=True)
class Training:
    """Everything behind one row; ``most_steps``: the run's cap on the updates of every training (0: none)."""

    parts: tuple[PartSchedule, ...] = ()
    most_steps: int = 0

    @property
    def cut(self) -> bool:
        return any(part.cut for part in self.parts)

    @property
    def shortened(self) -> bool:
        """Whether the score is no verdict on the method."""
        return self.cut or self.most_steps > 0

    @property
    def detail(self) -> str:
        """How long what was cut was trained; the part is named where the model has several. Empty: nothing was cut."""
        named = len(self.parts) > 1
        cut = [part for part in self.parts if part.cut]
        return ", ".join((f"{part.part}: " if named else "") + part.length for part in cut)

    @property
    def text(self) -> str:
        """What the row says; empty where nothing was cut."""
        return f"{CUT}: {self.detail}" if self.cut else ""


def describe_training(records: Sequence[ScoreRecord]) -> Training:
    """One row's records (one a training seed) together: parts in the order in which they were told."""
    told = [ScheduleRecord(**one) for record in records for one in record.schedule]
    keys = dict.fromkeys((one.part, one.unit, one.rule) for one in told)
    parts = tuple(_part([one for one in told if (one.part, one.unit, one.rule) == key]) for key in keys)
    return Training(parts, max((record.most_steps for record in records), default=0))


def _part(own: Sequence[ScheduleRecord]) -> PartSchedule:
    run, first = [one.run for one in own], own[0]
    return PartSchedule(first.part, first.unit, min(run), max(run), first.rule, len(own), sum(one.cut for one in own))


def _span(least: int, most: int) -> str:
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"
