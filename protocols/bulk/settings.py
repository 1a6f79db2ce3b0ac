"""The section of the bulk task in the run's file, and what a cohort with bulk expression says there."""

from __future__ import annotations

import math
from pathlib import Path
from typing import ClassVar

from pydantic import Field, model_validator

from protocols.settings import CohortEntry, TaskSettings, TileSettings
from protocols.task import SCORE_ONLY


class BulkSettings(TaskSettings):
    """``super_tiles``: places of a slide's tiles, and tiles of a window; ``criteria`` of well-predicted genes;
    ``average``: the cohorts whose mean makes a board of its own.

    ``full``: 100 super-tiles, so windows of 10 x 10, of tiles of 128 µm in 256 pixels, as in SEQUOIA's paper.
    """

    SIZES: ClassVar = {
        "mini": {"tile": {"pixels": 64}, "super_tiles": 16},
        "full": {"tile": {"um": 128, "pixels": 256}, "super_tiles": 100},
    }

    tile: TileSettings = TileSettings()
    super_tiles: int = Field(default=100, ge=1)
    folds: int = Field(default=5, ge=2)
    criteria: str | None = Field(default="standard", json_schema_extra=SCORE_ONLY)
    average: tuple[str, ...] | None = Field(default=(), json_schema_extra=SCORE_ONLY)


class BulkEntry(CohortEntry):
    """One cohort of the task. ``files`` are the reader's own settings; paths among them are relative to ``root``.

    Without a role a cohort is cut into folds. ``external`` names the cohort whose fold models are asked about this one;
    ``normal`` tissue is pre-trained on; ``sections_of`` names the cohort whose fold models are asked for maps of these
    sections with spatial transcriptomics: ``manifest`` lists them, ``window`` x ``window`` tiles are moved by
    ``stride``, ``genes`` are scored (the most variable in that cohort), ``modules`` is a JSON file of meta-modules.
    """

    files: dict[str, str | list[str]] = Field(default_factory=dict)
    external: str | None = None
    normal: bool = False
    sections_of: str | None = None
    manifest: Path | None = None
    window: int | None = Field(default=None, ge=1)
    stride: int | None = Field(default=None, ge=1)
    genes: int | None = Field(default=500, ge=1, json_schema_extra=SCORE_ONLY)
    modules: Path | None = Field(default=None, json_schema_extra=SCORE_ONLY)

    @model_validator(mode="after")
    def _has_one_role(self) -> BulkEntry:
        roles = [name for name in ("external", "normal", "sections_of") if getattr(self, name)]
        if len(roles) > 1:
            raise ValueError(f"one role of {', '.join(roles)}")
        if self.sections_of and not self.manifest:
            raise ValueError("a manifest, since sections are listed in one")
        return self

    @property
    def is_discovery(self) -> bool:
        """Whether it is cut into folds."""
        return not (self.external or self.normal or self.sections_of)

    def window_side(self, super_tiles: int) -> int:
        """Tiles along a window: as stated, or what a model with so many places takes."""
        return self.window or math.isqrt(super_tiles)

    @property
    def window_stride(self) -> int:
        return self.stride or 1
