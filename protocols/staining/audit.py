"""The leak audit of patch folds: no pixel in two roles, shown by patient and by place in the tissue.

All markers are looked at together, since one patient's ER and PR sections are cut from the same block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from protocols.contract import RowArray
from protocols.findings import Finding, FoldFacts, RoleFacts
from protocols.splits import ROLES, Exclusion, Fold, every_role
from protocols.staining.cohort import overlap
from protocols.staining.store import IhcStore
from protocols.task import Question


def audit_ihc(store: IhcStore, folds: Sequence[Fold]) -> list[Finding]:
    """Every check of the folds, which hold rows of the store."""
    number = f"{len(folds)} folds, {len(store)} patches"
    unsound = _unsound(store, folds)
    findings = [Finding("rows exist, once", "fail" if unsound else "pass", unsound or number)]
    if unsound:  # nothing else could be trusted
        return findings
    checks: list[tuple[str, Callable[[], str | None], str]] = [
        ("no patch in two roles", lambda: _two_roles(store, folds), ", ".join(ROLES)),
        ("every patch of a known patient tested exactly once", lambda: _tests(store, folds), number),
        ("every marker in every role", lambda: _missing_marker(store, folds), ", ".join(store.markers)),
        (
            "no overlapping patches in two roles",
            lambda: _overlaps(store, folds),
            f"windows of one subregion, stride {store.stride_share:g} of a side",
        ),
    ]
    for name, check, looked_at in checks:
        problem = check()
        findings.append(Finding(name, "fail" if problem else "pass", problem or looked_at))
    findings.insert(3, _patients(store, folds))
    return findings


def audit(question: Question) -> tuple[list[Finding], list[FoldFacts]]:
    """Every check of the cohort's folds, and what each fold holds."""
    store, split = question.cohort.store, question.split
    findings = audit_ihc(store, split.folds)
    return findings, [_facts(store, fold) for fold in split.folds]


def excluded(question: Question) -> list[Exclusion]:
    """What reading left out."""
    return list(question.cohort.store.excluded)


def _facts(store: IhcStore, fold: Fold) -> FoldFacts:
    roles = []
    for role, rows in fold.roles().items():
        patients = tuple(sorted(set(store.patient[rows].tolist())))
        counts = {f"patches of {marker}": len(store.rows_of(marker, rows)) for marker in store.markers}
        roles.append(RoleFacts(role, len(rows), patients, counts))
    return FoldFacts(fold.name, tuple(roles))


def _unsound(store: IhcStore, folds: Sequence[Fold]) -> str | None:
    if not folds:
        return "no fold"
    for fold in folds:
        for role, rows in zip(ROLES, every_role(fold), strict=True):
            if not len(rows):
                return f"fold {fold.name}: no {role} patch"
            if rows[0] < 0 or rows[-1] >= len(store) or (np.diff(rows) <= 0).any():
                return f"fold {fold.name}: {role} rows are not ascending rows of {len(store)} patches"
    return None


def _called(store: IhcStore, row: int) -> str:
    return f"{store.marker[row]} patch {store.name_of[row]}"


def _pairs(fold: Fold) -> Iterator[tuple[str, RowArray, str, RowArray]]:
    """Every two roles of a fold: a patch kept for stopping chooses the model, so it may not be trained on either."""
    for (role, rows), (other, others) in combinations(zip(ROLES, every_role(fold), strict=True), 2):
        yield role, rows, other, others


def _two_roles(store: IhcStore, folds: Sequence[Fold]) -> str | None:
    for fold in folds:
        for role, rows, other, others in _pairs(fold):
            shared = np.intersect1d(rows, others)
            if len(shared):
                named = _called(store, int(shared[0]))
                return f"fold {fold.name}: {named} is in {role} and {other}, {len(shared)} in all"
    return None


def _tests(store: IhcStore, folds: Sequence[Fold]) -> str | None:
    rows, times = np.unique(np.concatenate([fold.test for fold in folds]), return_counts=True)
    if (times > 1).any():
        return f"{_called(store, int(rows[times > 1][0]))} is tested {times.max()} times"
    missing = np.setdiff1d(np.flatnonzero(store.patient != ""), rows)
    return f"{_called(store, int(missing[0]))} is never tested, {len(missing)} in all" if len(missing) else None


def _missing_marker(store: IhcStore, folds: Sequence[Fold]) -> str | None:
    for fold in folds:
        for role, rows in zip(ROLES, every_role(fold), strict=True):
            for marker in store.markers:
                if not len(store.rows_of(marker, rows)):
                    return f"fold {fold.name}: no {marker} patch to {role if role == 'test' else role + ' on'}"
    return None


def _patients(store: IhcStore, folds: Sequence[Fold]) -> Finding:
    name = "no patient in two roles"
    for fold in folds:
        for role, rows, other, others in _pairs(fold):
            shared = (set(store.patient[rows].tolist()) & set(store.patient[others].tolist())) - {""}
            if shared:
                detail = f"fold {fold.name}: patient {min(shared)} is in {role} and {other}, {len(shared)} in all"
                return Finding(name, "fail", detail)
    used = np.unique(np.concatenate([rows for fold in folds for rows in every_role(fold)]))
    unknown = used[store.patient[used] == ""]
    if len(unknown):
        first = _called(store, int(unknown[0]))
        return Finding(name, "unverifiable", f"patient unknown for {len(unknown)} patches, first {first}")
    return Finding(name, "pass", f"{len(store.patients)} patients by id, over all markers")


def _overlaps(store: IhcStore, folds: Sequence[Fold]) -> str | None:
    """Windows of one subregion overlap where both row and column differ by less than a side."""
    table = store.table
    regions: dict[tuple[str, str], dict[tuple[int, int], list[int]]] = {}
    columns = (table[name].tolist() for name in ("marker", "subregion", "row", "column"))
    for at, (marker, subregion, row, column) in enumerate(zip(*columns, strict=True)):
        regions.setdefault((marker, subregion), {}).setdefault((int(row), int(column)), []).append(at)
    reach = int(np.ceil(1.0 / store.stride_share))
    steps = [(i, j) for i in range(-reach, reach + 1) for j in range(-reach, reach + 1)]
    steps = [step for step in steps if overlap((0, 0), step, store.stride_share)]
    for fold in folds:
        role_of = _role_of(store, fold)
        for windows in regions.values():
            for (row, column), here in windows.items():
                for other in (one for i, j in steps for one in windows.get((row + i, column + j), ())):
                    for at in here:
                        if -1 < role_of[at] < role_of[other]:
                            roles = f"{ROLES[role_of[at]]} overlaps {_called(store, other)} in {ROLES[role_of[other]]}"
                            return f"fold {fold.name}: {_called(store, at)} in {roles}"
    return None


def _role_of(store: IhcStore, fold: Fold) -> NDArray[np.int64]:
    """Place in ``ROLES`` of every patch, -1 for none."""
    role_of = np.full(len(store), -1, dtype=np.int64)
    for index, rows in enumerate(every_role(fold)):
        role_of[rows] = index
    return role_of
