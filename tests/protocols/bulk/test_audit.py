"""The audit of bulk folds: a sound cohort passes, and each planted leak is caught by the check made for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from protocols.bulk.audit import audit_bulk
from protocols.bulk.splits import published_folds
from protocols.findings import Finding
from protocols.splits import Fold
from protocols.survival.cohort import SlideFile

PATIENTS = [f"p{number:02d}" for number in range(20)]
SLIDES = [SlideFile(f"{p}-{k}", p, f"{p}-{k}.tif") for p in PATIENTS for k in range(2)]


def arguments(**changes: Any) -> dict[str, Any]:
    """A sound cohort; ``changes`` plant a fault."""
    return {"patients": PATIENTS, "slides": SLIDES, "folds": published_folds(PATIENTS)} | changes


def audited(**changes: Any) -> list[Finding]:
    return audit_bulk(**arguments(**changes))


def offended(**changes: Any) -> dict[str, tuple[str, str]]:
    return {one.check: (one.verdict, one.detail) for one in audited(**changes) if one.verdict != "pass"}


def with_first(**roles: Any) -> list[Fold]:
    first, *others = published_folds(PATIENTS)
    return [replace(first, **{role: np.array(rows, dtype=np.int64) for role, rows in roles.items()}), *others]


def test_a_sound_cohort_passes_every_check() -> None:
    findings = audited()
    assert {finding.verdict for finding in findings} == {"pass"}
    assert len(findings) == 5


def test_a_patient_in_two_roles() -> None:
    first = published_folds(PATIENTS)[0]
    row = int(first.test[0])
    for role in ("train", "validation"):
        rows = np.sort(np.append(getattr(first, role), row))
        found = offended(folds=with_first(**{role: rows}))
        assert found["no patient in two roles"] == ("fail", f"fold 0: patient {PATIENTS[row]} is in {role} and test")
        assert set(found) == {"no patient in two roles"}


def test_a_patient_tested_twice_or_never() -> None:
    first, second, *others = published_folds(PATIENTS)
    again = [first, replace(second, name="1", test=first.test, train=np.setdiff1d(np.arange(20), first.test)), *others]
    verdict, detail = offended(folds=again)["every patient tested exactly once"]
    assert (verdict, detail) == ("fail", f"patient {PATIENTS[first.test[0]]} is tested 2 times")
    verdict, detail = offended(folds=[first, second])["every patient tested exactly once"]
    assert (verdict, detail.endswith("is never tested, 12 in all")) == ("fail", True)


def test_a_patient_of_no_role() -> None:
    first = published_folds(PATIENTS)[0]
    found = offended(folds=with_first(train=first.train[1:]))
    assert found == {
        "every patient in every fold": ("fail", f"fold 0: patient {PATIENTS[first.train[0]]} is in no role, 1 in all")
    }


@pytest.mark.parametrize(
    ("roles", "says"),
    [
        ({"test": [3, 2]}, "fold 0: test rows are not ascending rows of 20 patients"),
        ({"test": [19, 20]}, "fold 0: test rows are not ascending rows of 20 patients"),
        ({"validation": []}, "fold 0: no validation patient"),
    ],
)
def test_rows_that_are_none(roles: dict[str, list[int]], says: str) -> None:
    assert offended(folds=with_first(**roles))["rows exist, once"] == ("fail", says)


def test_no_folds_and_unsorted_patients() -> None:
    assert offended(folds=[])["rows exist, once"] == ("fail", "no fold")
    assert offended(patients=PATIENTS[::-1])["rows exist, once"][0] == "fail"


@pytest.mark.parametrize("unknown", ["", None, float("nan")])
def test_an_unknown_patient_is_not_a_different_one(unknown: Any) -> None:
    slides = [*SLIDES[:-1], replace(SLIDES[-1], patient=unknown)]
    assert offended(slides=slides) == {
        "the patient of every slide is known": ("unverifiable", "patient unknown for 1 slides, first p19-1")
    }


def test_a_slide_of_a_stranger() -> None:
    slides = [*SLIDES[:-1], replace(SLIDES[-1], patient="p99")]
    assert offended(slides=slides)["the patient of every slide is known"] == (
        "fail",
        "slide p19-1 is of p99, who is not in the cohort",
    )
