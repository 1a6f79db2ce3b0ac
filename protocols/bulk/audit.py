"""The leak audit of bulk folds: people by id, slides by their bytes, and every other cohort the run touches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from protocols.bulk.cohort import donor_of, is_known
from protocols.bulk.roles import named
from protocols.bulk.store import BulkStore
from protocols.findings import Finding, FoldFacts, RoleFacts
from protocols.spatial.store import SectionsStore
from protocols.splits import ROLES, Exclusion, Fold, every_role
from protocols.survival.cohort import SlideFile
from protocols.task import Question

NORMAL = "normal"
"""The name under which slides of normal tissue are listed among the other cohorts' slides."""

Verdict = tuple[str | None, str]
"""What is wrong (None: nothing), and what cannot be known (empty: all is)."""


def audit(question: Question) -> tuple[list[Finding], list[FoldFacts]]:
    """Every check of a cohort's folds and of all other cohorts that its models are asked about or learn from.

    Sections are looked at by the protocol whose boards they are.
    """
    opened, store = question.cohort, question.cohort.store
    maps = question.board.cohort != question.board.fitted_on
    asked = [*named(question, "external"), *(named(question, "sections") if maps else [])]
    others = {name: question.companions[name].store for name in asked}
    external = {name: _people(found) for name, found in others.items()}
    hashes = {name: _hashes(found) for name, found in others.items()}
    on = named(question, "normal")
    normal = question.companions[on[0]].store if on else None
    if normal is not None:
        hashes[NORMAL] = _hashes(normal)
    findings = audit_bulk(
        opened.store.patients,
        store.slides,
        question.split.folds,
        external=external,
        normal=normal.patients if normal else (),
        slide_hashes=store.slide_hashes,
        other_hashes=hashes,
    )
    return findings, [_facts(store, fold) for fold in question.split.folds]


def excluded(question: Question) -> list[Exclusion]:
    """Whom reading left out: of the cohort, or of the sections where these are the board."""
    return list(question.opened(question.board.cohort).store.excluded)


def _facts(store: BulkStore, fold: Fold) -> FoldFacts:
    roles = tuple(
        RoleFacts(role, len(rows), tuple(store.patients[row] for row in rows), {"slides": len(store.slides_of(rows))})
        for role, rows in fold.roles().items()
    )
    return FoldFacts(fold.name, roles)


def _people(store: BulkStore | SectionsStore) -> list[str]:
    return list(store.patients) if isinstance(store, BulkStore) else [slide.patient for slide in store.slides]


def _hashes(store: BulkStore | SectionsStore) -> dict[str, str]:
    return {slide.slide: digest for slide, digest in zip(store.slides, store.slide_hashes, strict=True)}


def audit_bulk(
    patients: Sequence[str],
    slides: Sequence[SlideFile],
    folds: Sequence[Fold],
    *,
    external: Mapping[str, Sequence[str]],
    normal: Sequence[str],
    slide_hashes: Sequence[str],
    other_hashes: Mapping[str, Mapping[str, str]],
) -> list[Finding]:
    """Every check of the folds, which hold rows of ``patients``.

    ``slide_hashes``: SHA-256 of each of ``slides``. ``external``: patients of the other cohorts that models are asked
    about, spatial ones too; ``normal``: rows of the normal tissue they pre-train on. ``other_hashes``: for each of
    those cohorts (``NORMAL`` for normal tissue) slide to SHA-256. An id that is missing is "unverifiable", not fine.

    Models pre-train on all of the normal tissue, so no patient of any other cohort may be in it.
    """
    others = {**external, NORMAL: normal} if normal or NORMAL in other_hashes else dict(external)
    checks: list[tuple[str, Callable[[], Verdict], str]] = [
        ("rows exist, once", lambda: (_unsound(patients, folds), ""), f"{len(folds)} folds, {len(patients)} patients"),
        ("no patient in two roles", lambda: (_two_roles(patients, folds), ""), ", ".join(ROLES)),
        ("every patient in every fold", lambda: (_without_role(patients, folds), ""), f"{len(folds)} folds"),
        ("every patient tested exactly once", lambda: (_tests(patients, folds), ""), f"{len(patients)} patients"),
        (
            "no patient of another cohort",
            lambda: _strangers(patients, others),
            f"by id: {', '.join(f'{name} {len(set(ids))}' for name, ids in others.items()) or 'no other cohort'}",
        ),
        ("the patient of every slide is known", lambda: _owners(patients, slides), f"{len(slides)} slides"),
        ("no slide of two patients", lambda: _shared(slides, slide_hashes), f"{len(slides)} slides, by content"),
        (
            "no slide in two roles",
            lambda: (_slide_in_two_roles(patients, slides, slide_hashes, folds), ""),
            f"{len(slides)} slides, by content, in {len(folds)} folds",
        ),
        (
            "no slide of another cohort",
            lambda: _foreign(slides, slide_hashes, others, other_hashes),
            f"by content: {', '.join(f'{name} {len(found)}' for name, found in other_hashes.items()) or 'none'}",
        ),
    ]
    findings = []
    for name, check, looked_at in checks:
        problem, unknown = check()
        if problem:
            findings.append(Finding(name, "fail", problem))
        else:
            findings.append(Finding(name, "unverifiable" if unknown else "pass", unknown or looked_at))
    return findings


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


def _strangers(patients: Sequence[str], others: Mapping[str, Sequence[str]]) -> Verdict:
    """With five folds every patient trains in some, and all normal tissue pre-trains: nobody else may be among them."""
    people = {cohort: {donor_of(one) for one in ids if is_known(one)} for cohort, ids in others.items()}
    learnt_from = {"the cohort": {donor_of(patient) for patient in patients}, NORMAL: people.get(NORMAL, set())}
    for trained, own in learnt_from.items():
        for cohort, ids in people.items():
            if cohort != trained and own & ids:
                return f"patient {min(own & ids)} is in {trained} and in {cohort}, {len(own & ids)} in all", ""
    missing = {cohort: sum(not is_known(one) for one in ids) for cohort, ids in others.items()}
    unknown = [f"{number or 'all'} of {cohort}" for cohort, number in missing.items() if number or not others[cohort]]
    return None, f"patients unknown: {', '.join(unknown)}" if unknown else ""


def _owners(patients: Sequence[str], slides: Sequence[SlideFile]) -> Verdict:
    own = set(patients)
    for slide in slides:
        if is_known(slide.patient) and slide.patient not in own:
            return f"slide {slide.slide} is of {slide.patient}, who is not in the cohort", ""
    unknown = [slide.slide for slide in slides if not is_known(slide.patient)]
    return None, f"patient unknown for {len(unknown)} slides, first {unknown[0]}" if unknown else ""


def _shared(slides: Sequence[SlideFile], hashes: Sequence[str]) -> Verdict:
    owner: dict[str, SlideFile] = {}
    unknown = ""
    for slide, digest in zip(slides, hashes, strict=True):
        first = owner.setdefault(digest, slide)
        if first is slide or (first.patient == slide.patient and is_known(slide.patient)):
            continue
        if is_known(first.patient) and is_known(slide.patient):
            return f"slide {slide.slide} of {slide.patient} has the bytes of {first.slide} of {first.patient}", ""
        unknown = f"slides {first.slide} and {slide.slide} are one file, of patients not both known"
    return None, unknown


def _slide_in_two_roles(
    patients: Sequence[str], slides: Sequence[SlideFile], hashes: Sequence[str], folds: Sequence[Fold]
) -> str | None:
    row_of = {patient: row for row, patient in enumerate(patients)}
    of_row: dict[int, list[tuple[str, str]]] = {}
    for slide, digest in zip(slides, hashes, strict=True):
        if slide.patient in row_of:
            of_row.setdefault(row_of[slide.patient], []).append((slide.slide, digest))
    for fold in folds:
        seen: dict[str, tuple[str, str]] = {}
        for role, rows in zip(ROLES, every_role(fold), strict=True):
            for name, digest in (one for row in rows.tolist() for one in of_row.get(row, [])):
                other, where = seen.setdefault(digest, (name, role))
                if where != role:
                    return f"fold {fold.name}: slide {name} in {role} has the bytes of {other} in {where}"
    return None


def _foreign(
    slides: Sequence[SlideFile],
    hashes: Sequence[str],
    others: Mapping[str, Sequence[str]],
    other_hashes: Mapping[str, Mapping[str, str]],
) -> Verdict:
    own = {digest: slide.slide for slide, digest in zip(slides, hashes, strict=True)}
    normal = {digest: slide for slide, digest in other_hashes.get(NORMAL, {}).items()}
    for trained, names in (("the cohort", own), (NORMAL, normal)):
        for cohort, found in other_hashes.items():
            for name, digest in found.items():
                if cohort != trained and digest in names:
                    return f"slide {names[digest]} of {trained} has the bytes of {name} of {cohort}", ""
    unread = sorted(set(others) - set(other_hashes))
    return None, f"slides not read: {', '.join(unread)}" if unread else ""
