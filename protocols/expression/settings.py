"""The section of the expression task in the run's file, what a cohort says there, and the numbers of a split."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from protocols.images.source import FieldOfView
from protocols.settings import CohortEntry, Strict, TaskSettings


class CropSettings(Strict):
    """What is shown around a unit, in micrometres, the pixels it is resampled to, and what of it encoders see."""

    um: float = Field(default=112.0, gt=0)
    pixels: int = Field(default=224, ge=8)
    field: FieldOfView = "whole"


class SplitChoices(Strict):
    """Numbers of the splits; see :class:`SplitSettings`."""

    blocks: int = 4
    folds: int = Field(default=5, ge=2)
    top_mean_genes: int | None = Field(default=None, ge=1)
    max_train_units: int | None = Field(default=None, ge=10)
    min_units: int = Field(default=40, ge=3)


class ExpressionSettings(TaskSettings):
    """``full``: 112 µm in 224 pixels, the 0.5 µm a pixel of most published encoders (and of HEST-Bench)."""

    SIZES: ClassVar = {"mini": {"crop": {"um": 32, "pixels": 64}}, "full": {"crop": {"um": 112, "pixels": 224}}}

    crop: CropSettings = CropSettings()
    split: SplitChoices = SplitChoices()


class SlidesEntry(CohortEntry):
    """One cohort of slides with cells, spots or tiles; ``manifest`` lists the slides. See docs/cohorts.md.

    ``measure``: how what was measured becomes the target (:mod:`protocols.expression.measures`); by default log_cp10k
    of counts, percentile99 of intensities. ``external`` names the cohort whose fold models are asked about this one.
    """

    manifest: Path
    measure: str | None = None
    external: str | None = None


@dataclass(frozen=True)
class GeneChoice:
    """Which genes are predicted: every measured one, or the ``top_mean`` by mean expression on training rows."""

    top_mean: int | None = None


@dataclass(frozen=True)
class SplitSettings:
    """Numbers that a split depends on."""

    crop_um: float
    seed: int = 0
    blocks: int = 4
    folds: int = 5
    genes: GeneChoice = GeneChoice()
    max_train_units: int | None = None
    min_units: int = 40


def split_settings(settings: ExpressionSettings, seed: int) -> SplitSettings:
    return SplitSettings(
        crop_um=settings.crop.um,
        seed=seed,
        blocks=settings.split.blocks,
        folds=settings.split.folds,
        genes=GeneChoice(settings.split.top_mean_genes),
        max_train_units=settings.split.max_train_units,
        min_units=settings.split.min_units,
    )
