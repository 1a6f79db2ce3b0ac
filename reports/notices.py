"""What a reader must know before reading a rank."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from protocols.metrics.bootstrap import UNRELIABLE_BELOW
from protocols.records import ScoreRecord
from reports.describe import PREDICTIONS_ONLY, Cohort, describe_weights

FEW_EVENTS = 100
"""Events below which a C-index has a standard error of about 0.03 or more."""
ROUNDING = 1e-9


@dataclass(frozen=True)
class Notice:
    """One thing to know; ``warning`` limits what the numbers may be used for, ``note`` explains."""

    level: Literal["warning", "note"]
    text: str


def collect_notices(records: Sequence[ScoreRecord], cohort: Cohort) -> tuple[Notice, ...]:
    """All notices of one leaderboard, warnings first. ``records`` are its scored cells (or all, if none is scored)."""
    notices = [
        _about_meaning(records, cohort),
        _about_patients(records),
        _about_identity(cohort),
        _about_profiles(records),
        *_about_follow_up(records, cohort),
        *_about_maps(records),
    ]
    if not any(r.kind == "model" and r.status == "scored" for r in records):
        notices.append(Notice("warning", "No model has been scored: there is nothing to rank."))
    return tuple(sorted((n for n in notices if n is not None), key=lambda n: n.level != "warning"))


def _about_meaning(records: Sequence[ScoreRecord], cohort: Cohort) -> Notice | None:
    weights = [describe_weights(r.weights, kind=r.kind) for r in records if r.kind == "model"]
    random = sum(w.has_random for w in weights)
    if cohort.phantom and random:
        return Notice(
            "warning",
            f"{random} of {len(weights)} models started from random weights, and the cohort is a phantom (simulated "
            "tissue): these ranks say nothing about the published models. They show that the suite itself works.",
        )
    if cohort.phantom:
        return Notice(
            "warning",
            "The cohort is a phantom (simulated tissue): these ranks say nothing about how the models do on patients.",
        )
    if random:
        return Notice(
            "warning",
            f"{random} of {len(weights)} models started from random weights: "
            "their ranks say nothing about the published models.",
        )
    return None


def _about_patients(records: Sequence[ScoreRecord]) -> Notice | None:
    counts = [r.headline.n_patients for r in records if r.headline.mean is not None]
    if not counts or min(counts) >= UNRELIABLE_BELOW:
        return None
    fewest = min(counts)
    return Notice(
        "warning",
        f"Only {fewest} patient{'' if fewest == 1 else 's'}: intervals from fewer than {UNRELIABLE_BELOW} patients "
        "are too narrow to be trusted, and a tie or a difference proves little.",
    )


def _about_identity(cohort: Cohort) -> Notice | None:
    if not cohort.unknown_patients:
        return None
    unknown = cohort.unknown_patients
    return Notice(
        "warning",
        f"{unknown} slide{' has no' if unknown == 1 else 's have no'} known patient: that training and test share no "
        "patient is unverifiable, and each such slide counts as a patient of its own.",
    )


def _about_follow_up(records: Sequence[ScoreRecord], cohort: Cohort) -> list[Notice]:
    if not records or records[0].task != "survival":
        return []
    notices = [
        Notice(
            "note",
            "Log-rank p-values describe the curves: the folds' training patients overlap and many models are looked "
            "at, so they are no tests. Ranks come from paired resampling of patients.",
        )
    ]
    if cohort.events is not None and cohort.events < FEW_EVENTS:
        notices.append(Notice("warning", f"Only {cohort.events} events: differences between models are mostly noise."))
    return notices


def _about_maps(records: Sequence[ScoreRecord]) -> list[Notice]:
    """Where a constant map has a smaller Earth Mover's Distance than a model, the distance must not be read alone."""
    if not records or records[0].task != "spatial":
        return []
    constant = [r for r in records if r.kind == "control" and r.counts.get("constant_maps") and _says_nothing(r)]
    distance = constant[0].summary.get("emd_median") if constant else None
    models = [r.summary.get("emd_median") for r in records if r.kind == "model"]
    known = [value for value in models if value is not None]
    if distance is None or not known:
        return []
    nearer = sum(value > distance for value in known)
    return [
        Notice(
            "warning" if nearer else "note",
            f"A constant map has an Earth Mover's Distance of {distance:.3f}; {nearer} of {len(known)} models lie "
            "farther from the truth than that. Maps are ranked by Pearson r.",
        )
    ]


def _says_nothing(record: ScoreRecord) -> bool:
    """Pearson r of a constant map is 0 up to rounding: percentile scores are float64, and their mean is not exact."""
    return record.headline.mean is not None and abs(record.headline.mean) < ROUNDING


def _about_profiles(records: Sequence[ScoreRecord]) -> Notice | None:
    profiles = sorted({r.profile for r in records} - {PREDICTIONS_ONLY})
    if len(profiles) < 2:
        return None
    return Notice("warning", f"Rows of different profiles stand in one table: {', '.join(profiles)}.")
