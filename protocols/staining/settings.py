"""The section of the staining task in the run's file, and what a cohort of paired patches says there."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pydantic import Field, field_validator

from protocols.settings import KNOWN_TRUTH, CohortEntry, TaskSettings
from protocols.task import SCORE_ONLY


class StainingSettings(TaskSettings):
    """``folds`` by patient; a tile that a model draws is ``tile_px`` wide and covers ``source_px`` (default: as many)
    of the patch; ``shift_px``: the best over so many whole-pixel shifts is scored, too.

    ``full``: five folds of 256-pixel tiles; ``mini``: two of 96.
    """

    SIZES: ClassVar = {"mini": {"folds": 2, "tile_px": 96}, "full": {"folds": 5, "tile_px": 256}}

    folds: int = Field(default=5, ge=2)
    tile_px: int = Field(default=256, ge=32)
    source_px: int | None = Field(default=None, ge=32)
    shift_px: int | None = Field(default=3, ge=0, json_schema_extra=SCORE_ONLY)

    @property
    def downscale(self) -> float:
        return (self.source_px or self.tile_px) / self.tile_px


class PairsEntry(CohortEntry):
    """One cohort of paired patches in IHC4BC's tree. ``aligned``: the same tree with the IHC on the H&E's grid;
    phantoms only, as ``truth``. ``mpp``: micrometres a pixel of the patches, by which scoring finds nuclei. See
    docs/ihc.md."""

    reader: str = "ihc4bc"
    images: str = "Images"
    labels: str | None = "Labels"
    markers: tuple[str, ...] = ("ER", "PR")
    mpp: float | None = Field(gt=0, json_schema_extra=SCORE_ONLY)
    stride_share: float = Field(default=0.5, gt=0, le=1)
    filters: dict[str, float | None] = Field(default_factory=dict)
    aligned: Path | None = Field(default=None, json_schema_extra=KNOWN_TRUTH)

    @field_validator("aligned", mode="before")
    @classmethod
    def _blank_is_none(cls, value: object) -> object:
        return value or None

    @field_validator("mpp")
    @classmethod
    def _mpp_is_known(cls, value: float | None) -> float | None:
        if value is None:
            raise ValueError("micrometres a pixel, above 0")
        return value
