"""Folds by patient, and the proof that they are."""

import numpy as np

from cell_fraction.cohort import FractionStore
from cell_fraction.settings import FractionSettings
from protocols.findings import Finding, FoldFacts, RoleFacts
from protocols.seeds import generator
from protocols.splits import Fold, Split
from protocols.task import Question


def folds(store: FractionStore, settings: FractionSettings, seed: int) -> Split:
    patient = store.table["patient"].to_numpy()
    order = generator(seed, "cell fraction").permutation(np.unique(patient))
    made = []
    for number, tested in enumerate(np.array_split(order, settings.folds)):
        test = np.isin(patient, tested)
        made.append(Fold(str(number), str(number), np.flatnonzero(~test), np.flatnonzero(test)))
    return Split(tuple(made))


def audit(question: Question) -> tuple[list[Finding], list[FoldFacts]]:
    patient = question.cohort.store.table["patient"].to_numpy()
    facts, shared = [], set()
    for fold in question.split.folds:
        who = {role: tuple(np.unique(patient[rows])) for role, rows in fold.roles().items()}
        shared |= set(who["train"]) & set(who["test"])
        roles = (RoleFacts(role, len(fold.roles()[role]), found, {}) for role, found in who.items())
        facts.append(FoldFacts(fold.name, tuple(roles)))
    said = f"on both sides: {min(shared)}" if shared else f"{len(facts)} folds"
    return [Finding("no patient on both sides", "fail" if shared else "pass", said)], facts
