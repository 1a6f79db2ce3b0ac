"""A cohort of patients with follow-up, as every reader returns it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import pandas as pd

from protocols.splits import Exclusion


@dataclass(frozen=True)
class SlideFile:
    """One slide of a patient: an ``image`` to be tiled, or a precomputed ``bag`` of one encoder's tile embeddings.

    ``path`` is relative to the cohort's root. ``mpp`` (µm per pixel at level 0) overrides what the file says.
    """

    slide: str
    patient: str
    path: str
    kind: Literal["image", "bag"] = "image"
    encoder: str | None = None
    mpp: float | None = None


@dataclass(frozen=True)
class PublishedFold:
    """One train/test partition as somebody published it, by patient; ``faults``: what is wrong with how it was."""

    name: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    faults: tuple[str, ...] = ()


@dataclass(frozen=True)
class PatientCohort:
    """Checked: one row a patient, sorted by patient, the same index (named ``patient``) in all four tables.

    ``outcome``: columns time (months, float64 > 0) and event (bool). ``clinical``: float columns, NaN where missing.
    ``genomic``: float32 columns named ``GENE_rnaseq``, ``GENE_cnv`` or ``GENE_mut``, sorted; NaN where missing.
    ``proteins``: float32 columns by name, sorted (``mean_CD8``, ``niche_CD8_CD4``, or whatever was measured); NaN where
    missing. Each of the last three may have no column. ``slides`` may be empty: then only models without images apply.
    """

    name: str
    outcome: pd.DataFrame
    clinical: pd.DataFrame
    genomic: pd.DataFrame
    signatures: dict[str, tuple[str, ...]] = field(default_factory=dict)
    slides: tuple[SlideFile, ...] = ()
    folds: tuple[PublishedFold, ...] | None = None
    endpoint: str = "overall survival"
    excluded: tuple[Exclusion, ...] = ()
    proteins: pd.DataFrame = field(default_factory=pd.DataFrame)
