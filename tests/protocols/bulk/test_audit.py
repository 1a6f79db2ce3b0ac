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
    """A sound cohort with an external cohort, a spatial one and normal tissue; ``changes`` plant a fault."""
    return {
        "patients": PATIENTS,
        "slides": SLIDES,
        "folds": published_folds(PATIENTS),
        "external": {"outside": ["x1", "x2"], "sections": ["g1"]},
        "normal": ["d1:Lung", "d1:Colon", "d2:Lung"],
        "slide_hashes": [f"hash of {slide.slide}" for slide in SLIDES],
        "other_hashes": {"outside": {"x1-0": "a", "x2-0": "b"}, "sections": {"g1-0": "c"}, "normal": {"d1-0": "d"}},
    } | changes


def audited(**changes: Any) -> list[Finding]:
    made = arguments(**changes)
    return audit_bulk(made.pop("patients"), made.pop("slides"), made.pop("folds"), **made)


def offended(**changes: Any) -> dict[str, tuple[str, str]]:
    return {one.check: (one.verdict, one.detail) for one in audited(**changes) if one.verdict != "pass"}


def with_first(**roles: Any) -> list[Fold]:
    first, *others = published_folds(PATIENTS)
    return [replace(first, **{role: np.array(rows, dtype=np.int64) for role, rows in roles.items()}), *others]


def with_hash(place: int, digest: str) -> list[str]:
    made = arguments()["slide_hashes"]
    return [*made[:place], digest, *made[place + 1 :]]


def test_a_sound_cohort_passes_every_check() -> None:
    findings = audited()
    assert {finding.verdict for finding in findings} == {"pass"}
    assert len(findings) == 9
    assert "outside 2, sections 1, normal 3" in {f.check: f.detail for f in findings}["no patient of another cohort"]


def test_a_patient_in_two_roles() -> None:
    first = published_folds(PATIENTS)[0]
    row = int(first.test[0])
    for role in ("train", "validation"):
        rows = np.sort(np.append(getattr(first, role), row))
        found = offended(folds=with_first(**{role: rows}))
        assert found["no patient in two roles"] == ("fail", f"fold 0: patient {PATIENTS[row]} is in {role} and test")
        assert found["no slide in two roles"][0] == "fail"
        assert set(found) == {"no patient in two roles", "no slide in two roles"}


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


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"external": {"outside": ["x1", "p07"]}}, "patient p07 is in the cohort and in outside, 1 in all"),
        ({"external": {"sections": ["p03", "p01"]}}, "patient p01 is in the cohort and in sections, 2 in all"),
        ({"normal": ["p05:Lung", "d2:Lung"]}, "patient p05 is in the cohort and in normal, 1 in all"),
        ({"external": {"outside": ["d2"]}}, "patient d2 is in normal and in outside, 1 in all"),
    ],
)
def test_a_patient_of_another_cohort(changes: dict[str, Any], says: str) -> None:
    assert offended(**changes)["no patient of another cohort"] == ("fail", says)


def test_a_slide_of_two_patients() -> None:
    found = offended(slide_hashes=with_hash(2, "hash of p00-0"))
    assert found["no slide of two patients"] == ("fail", "slide p01-0 of p01 has the bytes of p00-0 of p00")
    assert found["no slide in two roles"][0] == "fail"


def test_the_same_slide_twice_of_one_patient_is_no_leak() -> None:
    assert not offended(slide_hashes=with_hash(1, "hash of p00-0"))


@pytest.mark.parametrize("cohort", ["outside", "sections", "normal"])
def test_a_slide_of_another_cohort(cohort: str) -> None:
    others = arguments()["other_hashes"]
    others[cohort] = {**others[cohort], "copy": "hash of p09-1"}
    assert offended(other_hashes=others) == {
        "no slide of another cohort": ("fail", f"slide p09-1 of the cohort has the bytes of copy of {cohort}")
    }


def test_a_slide_of_normal_tissue_in_an_external_cohort() -> None:
    others = arguments()["other_hashes"]
    others["outside"] = {"copy": "d"}
    assert offended(other_hashes=others)["no slide of another cohort"] == (
        "fail",
        "slide d1-0 of normal has the bytes of copy of outside",
    )


@pytest.mark.parametrize("unknown", ["", None, float("nan")])
def test_an_unknown_patient_is_not_a_different_one(unknown: Any) -> None:
    slides = [*SLIDES[:-1], replace(SLIDES[-1], patient=unknown)]
    assert offended(slides=slides) == {
        "the patient of every slide is known": ("unverifiable", "patient unknown for 1 slides, first p19-1")
    }
    found = offended(slides=slides, slide_hashes=with_hash(39, "hash of p00-0"))
    assert found["no slide of two patients"][0] == "unverifiable"
    assert offended(external={"outside": ["x1", unknown], "sections": []}) == {
        "no patient of another cohort": ("unverifiable", "patients unknown: 1 of outside, all of sections")
    }


def test_a_slide_of_a_stranger() -> None:
    slides = [*SLIDES[:-1], replace(SLIDES[-1], patient="p99")]
    assert offended(slides=slides)["the patient of every slide is known"] == (
        "fail",
        "slide p19-1 is of p99, who is not in the cohort",
    )


def test_a_cohort_whose_slides_were_not_read() -> None:
    others = arguments()["other_hashes"]
    del others["sections"]
    assert offended(other_hashes=others) == {
        "no slide of another cohort": ("unverifiable", "slides not read: sections")
    }


def test_no_other_cohorts() -> None:
    assert not offended(external={}, normal=[], other_hashes={})
