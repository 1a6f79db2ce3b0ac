"""What a protocol about patients' follow-up is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SurvivalProtocol:
    """A question put to cohorts of patients. A change that moves a score raises ``version``."""

    name: str
    version: str
    title: str
    question: str
    source: str
    folds: int
    target: str = "months from diagnosis to the cohort's endpoint, right-censored"
    headline: str = "harrell_mean"
    disjoint: tuple[str, ...] = ("patient",)
