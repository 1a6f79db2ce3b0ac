"""What a reader must know before reading a rank."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from protocols.metrics.pairwise import TELLING
from protocols.records import ScoreRecord
from reports.describe import PREDICTIONS_ONLY, Cohort, describe_weights
from reports.schedule import CUT, SMOKE, describe_training

Level = Literal["warning", "note"]
TaskNotices = Callable[[Sequence[ScoreRecord]], Sequence[tuple[Level, str]]]


@dataclass(frozen=True)
class Notice:
    """One thing to know; ``warning`` limits what the numbers may be used for, ``note`` explains."""

    level: Level
    text: str


def collect_notices(
    records: Sequence[ScoreRecord],
    cohort: Cohort,
    *,
    missing: Sequence[str] = (),
    of_task: TaskNotices | None = None,
    more: Sequence[Notice] = (),
) -> tuple[Notice, ...]:
    """All notices of one leaderboard, warnings first. ``records`` are its scored cells (or all, if none is scored);
    ``missing``: listed models without a record; ``of_task``: what the task itself has to say of such records;
    ``more``: what others have."""
    notices = [
        _about_meaning(records, cohort),
        _about_patients(records),
        _about_identity(cohort),
        _about_profiles(records),
        _about_schedules(records),
        _about_missing(missing),
        *more,
        *(Notice(level, text) for level, text in (of_task(records) if of_task else ())),
        *(Notice("warning", f"{r.card.get('title') or r.model}: {note}") for r in records for note in r.notes),
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
    if not counts or min(counts) >= TELLING:
        return None
    fewest = min(counts)
    return Notice(
        "warning",
        f"Only {fewest} patient{'' if fewest == 1 else 's'}: fewer than {TELLING} can tell no two models "
        "apart, however far apart their means are, so every model has rank 1.",
    )


def _about_schedules(records: Sequence[ScoreRecord]) -> Notice | None:
    """Of whom our cap, and not the method's own rule, ended the training."""
    steps = sorted({r.most_steps for r in records if r.most_steps})
    if steps:
        text = " or ".join(f"{one} step{'' if one == 1 else 's'}" for one in steps)
        return Notice(
            "warning",
            f"A {SMOKE} and no result: most_steps ended every training after {text}. The numbers show that the "
            "networks run, and nothing else.",
        )
    cut = sorted(str(r.card.get("title") or r.model) for r in records if describe_training([r]).cut)
    if not cut:
        return None
    return Notice(
        "warning",
        f"{CUT.capitalize()}: our cap ended the training of {', '.join(cut)}, and not the rule that the method's own "
        f"paper or code states. {'Such a row is' if len(cut) == 1 else 'Such rows are'} no verdict on the method.",
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


def _about_missing(missing: Sequence[str]) -> Notice | None:
    if not missing:
        return None
    return Notice("note", f"Not scored yet: {', '.join(missing)}.")


def _about_profiles(records: Sequence[ScoreRecord]) -> Notice | None:
    profiles = sorted({r.profile for r in records} - {PREDICTIONS_ONLY})
    if len(profiles) < 2:
        return None
    return Notice("warning", f"Rows of different profiles stand in one table: {', '.join(profiles)}.")
