"""What every section of the run's file has in common: nothing unknown is accepted, nothing changes afterwards."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, field_validator

from protocols.images.source import FieldOfView

KNOWN_TRUTH: dict[str, Any] = {"known_truth": True}
"""``Field(json_schema_extra=KNOWN_TRUTH)`` of what only a phantom's entry can say: the engine leaves it out of all that
is handed to a model whose card does not need the oracle."""
AUDIT_ONLY: dict[str, Any] = {"audit_only": True}
"""``Field(json_schema_extra=AUDIT_ONLY)`` of what the audit alone reads: None to everybody else, and in no key but the
audit's, so that a rule may be mended and nothing is read or fitted again."""
AUTO, EXACT = "auto", "exact"
"""Rules by which a label names a person; see :mod:`protocols.identity.persons`."""
LOOK_ALIKES = 4000


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TaskSettings(Strict):
    """The section of a task in the run's file.

    ``SIZES``: what a profile brings, by its name. It stands below what the run's file says, and below what a cohort
    says for itself: a run that states nothing gets a small run's sizes in ``mini`` and the published ones in ``full``.
    """

    SIZES: ClassVar[Mapping[str, Mapping[str, Any]]] = {}


class CohortEntry(Strict):
    """What every task's cohort says. ``truth``: phantoms only; ``published_in``: sources whose data this is.

    ``settings`` changes the task's settings for this cohort alone (a crop or tile of another size, other folds).
    ``persons``: how a patient's label names a person: ``auto``, ``exact``, or a regular expression with one group.
    ``look_alikes``: at most so many images are opened and compared by look; 0: none. See docs/audit.md.
    """

    reader: str
    root: Path
    truth: Path | None = Field(default=None, json_schema_extra=KNOWN_TRUTH)
    published_in: tuple[str, ...] | None = Field(default=(), json_schema_extra={"score_only": True})
    settings: dict[str, Any] = Field(default_factory=dict)
    persons: str | None = Field(default=AUTO, json_schema_extra=AUDIT_ONLY)
    look_alikes: int | None = Field(default=LOOK_ALIKES, ge=0, json_schema_extra=AUDIT_ONLY)

    @field_validator("persons")
    @classmethod
    def _is_a_rule(cls, value: str | None) -> str | None:
        if value in (AUTO, EXACT):
            return value
        try:
            groups = re.compile(value or "").groups
        except re.error:
            groups = 0
        if groups != 1:
            raise ValueError("auto, exact, or a regular expression with one group that is the person")
        return value

    @field_validator("truth", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return value or None


class TileSettings(Strict):
    """How slides become tiles: their side in µm and in pixels, what of it encoders see, the tissue rule, and how many
    are drawn at most."""

    um: float = Field(default=128.0, gt=0)
    pixels: int = Field(default=256, ge=8)
    field: FieldOfView = "whole"
    max_tiles: int = Field(default=4000, ge=1)
    tissue: str = "saturation"
