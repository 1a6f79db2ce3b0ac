"""What a board asks: its own folds, or all fold models of another cohort at once about an external one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from protocols.contract import RowArray
from protocols.errors import UserError
from protocols.expression.roles import is_external
from protocols.expression.settings import split_settings
from protocols.expression.splits import small_slides
from protocols.expression.store import CohortStore, SlideRecord
from protocols.expression.targets import Targets, fold_targets
from protocols.splits import Exclusion, Fold, Split
from protocols.task import Opened, Question


@dataclass(frozen=True, eq=False)
class Asked:
    """``folds``: whose ``test`` are rows of ``store``, where the truth is, and whose ``train`` are rows of ``learnt``.

    Of an external cohort there is one fold, named as the cohort: its answers are the mean of all fold models'.
    """

    store: CohortStore
    learnt: CohortStore
    folds: tuple[Fold, ...]
    external: bool

    def targets(self, fold: Fold) -> Targets:
        """What the fold is held against: the measure as it is fitted on the rows that its models learnt on."""
        return fold_targets(self.learnt, fold.train, fold.genes)


def asked_of(question: Question) -> Asked:
    store: CohortStore = question.cohort.store
    if not is_external(question):
        return Asked(store, store, question.split.folds, False)
    other = question.opened(question.board.cohort)
    return Asked(other.store, store, (external_fold(store, question.split, other, question.seed),), True)


def external_fold(store: CohortStore, split: Split, other: Opened, seed: int) -> Fold:
    """Every unit of the external cohort's slides that are large enough, for the markers common to both cohorts.

    ``train``: all units that any fold model learnt on or was tested on, so that the truth's measure is of the whole
    development cohort. With a choice of genes a fold, the common ones are those of every fold.
    """
    own, theirs = store.info.unit, other.store.info.unit
    if own != theirs:
        raise UserError(
            f"its units are {theirs}s, those of {store.info.name} {own}s", where=f"cohort {other.name}",
            expected="one kind of unit: a tile's mean is another quantity than a cell's",
            remedy="set the reader's option unit, or tabulate both alike",
        )  # fmt: skip
    genes = set(other.store.all_genes)
    for fold in split.folds:
        genes &= set(fold.genes)
    if split.folds and not genes:
        raise UserError(
            "no marker in common", where=f"cohort {other.name}", expected=f"markers of {store.info.name}, by name",
            remedy="rename the markers of one of them",
        )  # fmt: skip
    kept, small = _kept(other, seed)
    if not kept:
        raise UserError(
            f"all {len(small)} slides have {small[0].reason}", where=f"cohort {other.name}", expected="larger slides",
            remedy="set its settings: {split: {min_units: ...}}",
        )  # fmt: skip
    learnt = [rows for fold in split.folds for rows in (fold.train, fold.test)]
    train: RowArray = np.unique(np.concatenate(learnt)) if learnt else np.zeros(0, dtype=np.int64)
    return Fold(other.name, other.name, train, other.store.rows_of(kept), tuple(sorted(genes)))


def excluded(question: Question) -> list[Exclusion]:
    """What an external board leaves out of its cohort; of other boards the split says it."""
    return _kept(question.opened(question.board.cohort), question.seed)[1] if is_external(question) else []


def _kept(other: Opened, seed: int) -> tuple[list[SlideRecord], list[Exclusion]]:
    return small_slides(other.store, split_settings(other.settings, seed))
