"""What the run's file says of the family and of its cohorts."""

from pathlib import Path

from pydantic import Field

from protocols.settings import CohortEntry, TaskSettings


class FractionSettings(TaskSettings):
    folds: int = Field(default=3, ge=2)
    tile_px: int = Field(default=16, ge=4)


class FractionEntry(CohortEntry):
    table: Path = Path("slides.csv")
