"""The leak audit of bulk folds: who is in which role. People and contents are looked at as for every task."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from protocols.bulk.cohort import is_known
from protocols.bulk.store import BulkStore
from protocols.findings import Finding, FoldFacts, RoleFacts
from protocols.splits import ROLES, Exclusion, Fold, every_role
from protocols.survival.cohort import SlideFile
from protocols.task import Question


def audit(question: Question) -> tuple[list[Finding], list[FoldFacts]]:
    """Every check of a cohort's folds, and what each fold holds."""
    store, folds = question.cohort.store, question.split.folds
    return audit_bulk(store.patients, store.slides, folds), [_facts(store, fold) for fold in folds]


def excluded(question: Question) -> list[Exclusion]:
    """Whom reading left out: of the cohort, or of the sections where these are the board."""
    return list(question.opened(question.board.cohort).store.excluded)


def _facts(store: BulkStore, fold: Fold) -> FoldFacts:
    roles = tuple(
        RoleFacts(role, len(rows), tuple(store.patients[row] for row in rows), {"slides": len(store.slides_of(rows))})
        for role, rows in fold.roles().items()
    )
    return FoldFacts(fold.name, roles)


def audit_bulk(patients: Sequence[str], slides: Sequence[SlideFile], folds: Sequence[Fold]) -> list[Finding]:
    """Every check of the folds, which hold rows of ``patients``. A slide of nobody is "unverifiable"."""
    checks: list[tuple[str, Callable[[], str | None], str]] = [
        ("rows exist, once", lambda: _unsound(patients, folds), f"{len(folds)} folds, {len(patients)} patients"),
        ("no patient in two roles", lambda: _two_roles(patients, folds), ", ".join(ROLES)),
        ("every patient in every fold", lambda: _without_role(patients, folds), f"{len(folds)} folds"),
        ("every patient tested exactly once", lambda: _tests(patients, folds), f"{len(patients)} patients"),
    ]
    findings = []
    for name, check, looked_at in checks:
        problem = check()
        findings.append(Finding(name, "fail" if problem else "pass", problem or looked_at))
    return [*findings, _owners(patients, slides)]


def _unsound(patients: Sequence[str], folds: Sequence[Fold]) -> str | None:
    if list(patients) != sorted(set(patients)):
        return "patients are not sorted, each once"
    if not folds:
        return "no fold"
    for fold in folds:
        for role, rows in zip(ROLES, every_role(fold), strict=True):
            if not len(rows):
                return f"fold {fold.name}: no {role} patient"
            if rows[0] < 0 or rows[-1] >= len(patients) or (np.diff(rows) <= 0).any():
                return f"fold {fold.name}: {role} rows are not ascending rows of {len(patients)} patients"
    return None


def _name(patients: Sequence[str], row: int) -> str:
    return f"patient {patients[row]}" if 0 <= row < len(patients) else f"row {row}"


def _two_roles(patients: Sequence[str], folds: Sequence[Fold]) -> str | None:
    for fold in folds:
        role_of: dict[int, str] = {}
        for role, rows in zip(ROLES, every_role(fold), strict=True):
            for row in rows.tolist():
                other = role_of.setdefault(row, role)
                if other != role:
                    return f"fold {fold.name}: {_name(patients, row)} is in {other} and {role}"
    return None


def _without_role(patients: Sequence[str], folds: Sequence[Fold]) -> str | None:
    for fold in folds:
        missing = np.setdiff1d(np.arange(len(patients)), np.concatenate(every_role(fold)))
        if len(missing):
            return f"fold {fold.name}: {_name(patients, int(missing[0]))} is in no role, {len(missing)} in all"
    return None


def _tests(patients: Sequence[str], folds: Sequence[Fold]) -> str | None:
    tested = [row for fold in folds for row in fold.test.tolist()]
    rows, times = np.unique(np.array(tested, dtype=np.int64), return_counts=True)
    if (times > 1).any():
        return f"{_name(patients, int(rows[times > 1][0]))} is tested {times.max()} times"
    missing = np.setdiff1d(np.arange(len(patients)), rows)
    return f"{_name(patients, int(missing[0]))} is never tested, {len(missing)} in all" if len(missing) else None


def _owners(patients: Sequence[str], slides: Sequence[SlideFile]) -> Finding:
    name, own = "the patient of every slide is known", set(patients)
    for slide in slides:
        if is_known(slide.patient) and slide.patient not in own:
            return Finding(name, "fail", f"slide {slide.slide} is of {slide.patient}, who is not in the cohort")
    unknown = [slide.slide for slide in slides if not is_known(slide.patient)]
    if unknown:
        return Finding(name, "unverifiable", f"patient unknown for {len(unknown)} slides, first {unknown[0]}")
    return Finding(name, "pass", f"{len(slides)} slides")
