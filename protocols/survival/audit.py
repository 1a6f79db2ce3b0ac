"""The leak audit of a cohort of patients: its folds, and above all its features.

The released MCAT code leaves ``censorship`` or ``train`` among the features of some cohorts. Here a feature is refused
by its name and, since names can be changed, by what it holds.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

from protocols.findings import Finding, FoldFacts, RoleFacts
from protocols.metrics.concordance import pair_counts
from protocols.outcome_leak import outcome_findings
from protocols.splits import Exclusion, Fold, Split
from protocols.survival.contract import GENOMIC_KINDS
from protocols.survival.store import PatientStore
from protocols.task import Question

OUTCOME_WORDS = re.compile(
    r"(^|[_\W])(censor\w*|event\w*|surviv\w*|status|vital\w*|death|dead|died|deceased|follow_?up|time|months|days|"
    r"os|dfs|dss|pfs|pfi|dfi|rfs|dmfs|relapse\w*|recurr\w*|progress\w*|train|test|val|fold|split|risk)([_\W]|$)",
    re.IGNORECASE,
)


def audit_survival(store: PatientStore, split: Split) -> list[Finding]:
    """Every check of the cohort's folds and features."""
    checks: list[tuple[str, Callable[[], str | None], str]] = [
        ("no patient on both sides", lambda: _both_sides(store, split), f"{len(split.folds)} folds"),
        ("no patient tested twice", lambda: _tested_twice(store, split), f"{len(store)} patients"),
        (
            "no outcome among the features, by name",
            lambda: _outcome_by_name(store),
            _names_looked_at(store),
        ),
        ("every fold can be scored", lambda: _unscorable(store, split), "each has a comparable pair"),
    ]
    findings = []
    for name, check, looked_at in checks:
        problem = check()
        findings.append(Finding(name, "fail" if problem else "pass", problem or looked_at))
    return [*findings, *_published_faults(store), *_outcome_by_content(store)]


def _published_faults(store: PatientStore) -> list[Finding]:
    """One note of all that is wrong with how the folds were published; no finding where nothing is."""
    faulty = [f"fold {fold.name} {fault}" for fold in store.folds or () for fault in fold.faults]
    return [Finding("folds as they were published", "note", "; ".join(faulty))] if faulty else []


def audit(question: Question) -> tuple[list[Finding], list[FoldFacts]]:
    """Every check of the cohort's folds and features, and what each fold holds."""
    store, split = question.cohort.store, question.split
    return audit_survival(store, split), [_facts(store, fold) for fold in split.folds]


def excluded(question: Question) -> list[Exclusion]:
    """Whom reading left out."""
    return list(question.cohort.store.excluded)


def _facts(store: PatientStore, fold: Fold) -> FoldFacts:
    roles = tuple(
        RoleFacts(role, len(rows), tuple(store.patients[row] for row in rows), {"events": int(store.event[rows].sum())})
        for role, rows in fold.roles().items()
    )
    return FoldFacts(fold.name, roles)


def _both_sides(store: PatientStore, split: Split) -> str | None:
    for fold in split.folds:
        shared = np.intersect1d(fold.train, fold.test)
        if len(shared):
            return f"fold {fold.name}: patient {store.patients[shared[0]]} is trained on and tested"
    return None


def _tested_twice(store: PatientStore, split: Split) -> str | None:
    rows, times = np.unique(np.concatenate([fold.test for fold in split.folds]), return_counts=True)
    return f"patient {store.patients[rows[times > 1][0]]} is tested in several folds" if (times > 1).any() else None


def _names_looked_at(store: PatientStore) -> str:
    proteins = f", {len(store.protein_features)} protein" if store.protein_features else ""
    return f"{len(store.clinical_features)} clinical and {len(store.genomic_features)} genomic{proteins} names"


def _outcome_by_name(store: PatientStore) -> str | None:
    genes = [re.sub(rf"_({'|'.join(GENOMIC_KINDS)})$", "", name) for name in store.genomic_features]
    for name in (*store.clinical_features, *genes, *store.protein_features):
        # Gene symbols are upper case; an outcome's name in capitals alone (OS, DFS) is no gene symbol either.
        if OUTCOME_WORDS.search(name):
            return f"feature {name!r} is named like an outcome or a split"
    return None


def _outcome_by_content(store: PatientStore) -> list[Finding]:
    names = (*store.clinical_features, *store.genomic_features, *store.protein_features)
    values = np.hstack([store.clinical, store.genomic, store.proteins])
    return outcome_findings(names, values, store.time, store.event)


def _unscorable(store: PatientStore, split: Split) -> str | None:
    for fold in split.folds:
        counts = pair_counts(store.time[fold.test], store.event[fold.test], np.zeros(len(fold.test)))
        if not counts.comparable.sum():
            return f"fold {fold.name}: no comparable pair among {len(fold.test)} test patients"
        if not store.event[fold.train].any():
            return f"fold {fold.name}: no event to train on"
    return None
