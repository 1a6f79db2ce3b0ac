"""The leak audit of a cohort of treated patients: its folds, and above all its features."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

from protocols.findings import Finding, FoldFacts, RoleFacts
from protocols.metrics.outcome_orders import event_told
from protocols.outcome_leak import outcome_findings
from protocols.response.store import ResponseStore
from protocols.splits import Exclusion, Fold, Split
from protocols.task import Question

OUTCOME_WORDS = re.compile(
    r"(^|[_\W])(respon\w*|outcome|benefit\w*|dcb|ndb|recist|bor|orr|best_overall\w*|progress\w*|death|dead|died|"
    r"surviv\w*|event\w*|censor\w*|follow_?up|os|pfs|train|test|val|fold|split|label|target)([_\W]|$)",
    re.IGNORECASE,
)
"""Names of what is known only after treatment, or of a split; a bare RECIST code (CR, PR, SD, PD) may be a marker."""
MEASURES = {"AUC for response": event_told}


def audit_response(store: ResponseStore, split: Split) -> list[Finding]:
    """Every check of the cohort's folds and features."""
    names = (*store.clinical_features, *store.protein_features)
    counted = f"{len(store.clinical_features)} clinical and {len(store.protein_features)} protein names"
    checks: list[tuple[str, Callable[[], str | None], str]] = [
        ("no patient on both sides", lambda: _both_sides(store, split), f"{len(split.folds)} folds"),
        ("no patient tested twice", lambda: _tested_twice(store, split), f"{len(store)} patients"),
        ("no outcome among the features, by name", lambda: _outcome_by_name(names), counted),
        ("every fold can be scored", lambda: _unscorable(store, split), "each tests and trains on both outcomes"),
    ]
    findings = []
    for name, check, looked_at in checks:
        problem = check()
        findings.append(Finding(name, "fail" if problem else "pass", problem or looked_at))
    values = np.hstack([store.clinical, store.proteins])
    return [*findings, *outcome_findings(names, values, np.zeros(len(store)), store.response, MEASURES)]


def audit(question: Question) -> tuple[list[Finding], list[FoldFacts]]:
    """Every check of the cohort's folds and features, and what each fold holds."""
    store, split = question.cohort.store, question.split
    return audit_response(store, split), [_facts(store, fold) for fold in split.folds]


def excluded(question: Question) -> list[Exclusion]:
    """Whom reading left out."""
    return list(question.cohort.store.excluded)


def _facts(store: ResponseStore, fold: Fold) -> FoldFacts:
    roles = tuple(
        RoleFacts(
            role, len(rows), tuple(store.patients[row] for row in rows), {"responders": int(store.response[rows].sum())}
        )
        for role, rows in fold.roles().items()
    )
    return FoldFacts(fold.name, roles)


def _both_sides(store: ResponseStore, split: Split) -> str | None:
    for fold in split.folds:
        shared = np.intersect1d(fold.train, fold.test)
        if len(shared):
            return f"fold {fold.name}: patient {store.patients[shared[0]]} is trained on and tested"
    return None


def _tested_twice(store: ResponseStore, split: Split) -> str | None:
    rows, times = np.unique(np.concatenate([fold.test for fold in split.folds]), return_counts=True)
    return f"patient {store.patients[rows[times > 1][0]]} is tested in several folds" if (times > 1).any() else None


def _outcome_by_name(names: tuple[str, ...]) -> str | None:
    found = next((name for name in names if OUTCOME_WORDS.search(name)), None)
    return None if found is None else f"feature {found!r} is named like an outcome or a split"


def _unscorable(store: ResponseStore, split: Split) -> str | None:
    for fold in split.folds:
        for role, rows in fold.roles().items():
            responders = int(store.response[rows].sum())
            if responders in (0, len(rows)):
                return f"fold {fold.name}: {responders} responders among {len(rows)} {role} patients"
    return None
