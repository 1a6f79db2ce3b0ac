"""What a protocol is: a question put to a cohort, its folds, and what decides the rank."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from protocols.cohorts.store import CohortStore
from protocols.contract import RowArray


@dataclass(frozen=True)
class GeneChoice:
    """Which genes are predicted: every measured one, or the ``top_mean`` by mean expression on training rows."""

    top_mean: int | None = None


@dataclass(frozen=True)
class SplitSettings:
    """Numbers that a split depends on; they are part of the split's hash."""

    crop_um: float
    seed: int = 0
    blocks: int = 4
    genes: GeneChoice = GeneChoice()
    max_train_units: int | None = None
    min_units: int = 40


@dataclass(frozen=True)
class Fold:
    """One train/test partition. Folds of one ``group`` share one pre-training set: the union of their trains.

    ``train`` and ``test`` are sorted row numbers of the cohort. ``genes`` are chosen from training rows alone.
    """

    name: str
    group: str
    train: RowArray
    test: RowArray
    genes: tuple[str, ...]


@dataclass(frozen=True)
class Exclusion:
    """Something of the cohort that the protocol does not use, and why."""

    what: str
    reason: str


@dataclass(frozen=True)
class Split:
    """Everything a protocol decides about who is trained on and who is tested; no folds: it cannot be asked here."""

    folds: tuple[Fold, ...]
    excluded: tuple[Exclusion, ...] = ()

    def groups(self) -> dict[str, list[Fold]]:
        """Folds by group, both in order of first appearance."""
        found: dict[str, list[Fold]] = {}
        for fold in self.folds:
            found.setdefault(fold.group, []).append(fold)
        return found


Disjoint = Literal["patient", "cancer"]


@dataclass(frozen=True)
class Protocol:
    """A question. A change that moves a score raises ``version``."""

    name: str
    version: str
    title: str
    question: str
    split: Callable[[CohortStore, SplitSettings], Split]
    source: str
    disjoint: tuple[Disjoint, ...]
    """What training and test may never share, besides pixels: checked by the audit."""
    target: str = "log1p of counts scaled to 10,000 per unit, over the slide's whole panel"
    headline: str = "pearson_per_slide"
