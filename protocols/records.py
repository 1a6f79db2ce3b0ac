"""What scoring writes and reports read: one record per cell of the matrix protocol x model."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from protocols.errors import UserError

RECORD_FILE = "record.json"
UNITS_FILE = "units.parquet"
MAPS_FILE = "maps.parquet"
AVERAGE = "average"
"""The board of a survival protocol that shows the mean over cohorts."""


@dataclass(frozen=True)
class Interval:
    """A mean with its percentile-bootstrap interval over patients (NaN-free; None where undefined)."""

    mean: float | None
    low: float | None
    high: float | None
    n_patients: int


@dataclass(frozen=True)
class ScoreRecord:
    """One protocol x one model, complete enough to be compared without the predictions.

    ``per_patient`` holds the headline metric of each patient (the unit of every interval and test);
    ``per_gene`` one row a gene: gene, pearson (mean over units), reachable (None off the phantom),
    visible_share (None off the phantom), n_units; ``biology`` one row a slide. The per-fold, per-slide,
    per-gene values stand beside it in ``units.parquet``; truth and prediction of one marker per slide in
    ``maps.parquet`` (slide, gene, x_um, y_um, truth, predicted).

    A survival record (``task``) is one model on one cohort, named by ``board``; the board ``average`` is the mean over
    cohorts. Its headline, the mean over folds of Harrell's C, is no mean over patients: ``replicates`` holds its value
    in each patient resample, the same resamples for every model of a cohort, and ``survival`` what
    :class:`protocols.survival.scoring.SurvivalScores` says beyond the summary. ``units.parquet`` then has fold,
    patient, time, event, risk.

    A record of bulk expression (task ``bulk``) is one model on one cohort of ``tcga_expression``, with ``replicates``
    likewise, or on all sections of ``gbm_spatial``, with ``per_patient``; ``bulk`` holds what
    :class:`protocols.bulk.scoring.BulkScores` or :class:`protocols.spatial.scoring.SpatialScores` says beyond the
    summary, and ``section_<name>.parquet`` stands beside a spatial record: the maps of a section.

    A record of virtual staining (task ``image``) is one model on one marker of one cohort, with ``per_patient`` PSNR;
    ``image`` holds H-scores, and ``samples.npy`` beside it a few tiles: H&E, IHC, answer.
    """

    protocol: str
    protocol_version: str
    protocol_title: str
    model: str
    kind: str
    status: str  # "scored" or "skipped"
    reason: str
    card: dict[str, Any]
    weights: list[dict[str, Any]]
    profile: str
    seed: int
    device: str
    libraries: dict[str, str]
    cohort: dict[str, Any]
    hashes: dict[str, str]
    headline: Interval
    summary: dict[str, float | None] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    per_patient: dict[str, float] = field(default_factory=dict)
    per_gene: list[dict[str, Any]] = field(default_factory=list)
    biology: list[dict[str, Any]] = field(default_factory=list)
    excluded: list[dict[str, str]] = field(default_factory=list)
    task: str = "expression"
    board: str = ""
    replicates: list[float] = field(default_factory=list)
    survival: dict[str, Any] = field(default_factory=dict)
    bulk: dict[str, Any] = field(default_factory=dict)
    image: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1, sort_keys=True, allow_nan=False) + "\n"

    @classmethod
    def read(cls, folder: Path) -> ScoreRecord:
        path = folder / RECORD_FILE
        try:
            fields = json.loads(path.read_text())
            fields["headline"] = Interval(**fields["headline"])
            return cls(**fields)
        except FileNotFoundError:
            raise UserError(
                "no score record", where=path, expected="a scored cell", remedy="run `dvc repro` first"
            ) from None
        except (json.JSONDecodeError, TypeError, KeyError) as error:
            raise UserError(
                f"unreadable score record ({error})",
                where=path,
                expected="a record of this version",
                remedy="score the predictions again",
            ) from error
