"""The section of the survival task in the run's file, and what a cohort of patients says there."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from protocols.settings import CohortEntry, TaskSettings, TileSettings
from protocols.task import SCORE_ONLY


class SurvivalSettings(TaskSettings):
    """``folds``: where a cohort has no published ones; ``average``: the cohorts whose mean makes a board of its own.

    ``full``: 128 µm in 256 pixels, the tiles of CLAM and MCAT at 20x.
    """

    SIZES: ClassVar = {"mini": {"tile": {"pixels": 64}}, "full": {"tile": {"um": 128, "pixels": 256}}}

    tile: TileSettings = TileSettings()
    folds: int = Field(default=5, ge=2)
    average: tuple[str, ...] | None = Field(default=(), json_schema_extra=SCORE_ONLY)


class PatientEntry(CohortEntry):
    """One cohort of patients; paths but ``root`` and ``truth`` are relative to ``root``. See docs/survival.md."""

    root: Path = Path()
    table: str | None = None
    outcome: str | None = None
    clinical: str | None = None
    genomic: str | None = None
    proteins: str | None = None
    slides: str | None = None
    signatures: str | None = None
    splits: str | None = None
    endpoint: str | None = None
