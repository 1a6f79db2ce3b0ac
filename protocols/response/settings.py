"""The section of the response task in the run's file, and what a cohort of treated patients says there."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from protocols.settings import CohortEntry, TaskSettings


class ResponseSettings(TaskSettings):
    """``folds``: by patient, stratified by response."""

    folds: int = Field(default=5, ge=2)


class ResponseEntry(CohortEntry):
    """One cohort of patients; ``outcome``, ``clinical`` and ``proteins`` are relative to ``root``; ``endpoint``: what a
    response is, in words. See docs/response.md."""

    root: Path = Path()
    outcome: str | None = None
    clinical: str | None = None
    proteins: str | None = None
    endpoint: str | None = None
