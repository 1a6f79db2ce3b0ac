"""What every section of the run's file has in common: nothing unknown is accepted, nothing changes afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

KNOWN_TRUTH: dict[str, Any] = {"known_truth": True}
"""``Field(json_schema_extra=KNOWN_TRUTH)`` of what only a phantom's entry can say: the engine leaves it out of all that
is handed to a model whose card does not need the oracle."""


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CohortEntry(Strict):
    """What every task's cohort says. ``truth``: phantoms only; ``published_in``: sources whose data this is.

    ``settings`` changes the task's settings for this cohort alone (a crop or tile of another size, other folds).
    """

    reader: str
    root: Path
    truth: Path | None = Field(default=None, json_schema_extra=KNOWN_TRUTH)
    published_in: tuple[str, ...] | None = Field(default=(), json_schema_extra={"score_only": True})
    settings: dict[str, Any] = Field(default_factory=dict)

    @field_validator("truth", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return value or None


class TileSettings(Strict):
    """How slides become tiles: their side in µm and in pixels, the tissue rule, and how many are drawn at most."""

    um: float = Field(default=128.0, gt=0)
    pixels: int = Field(default=256, ge=8)
    max_tiles: int = Field(default=4000, ge=1)
    tissue: str = "saturation"
