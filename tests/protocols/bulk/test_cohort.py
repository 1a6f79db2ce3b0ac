"""What a bulk cohort must be, and whom it leaves out."""

from __future__ import annotations

import numpy as np
import pytest

from protocols.bulk.cohort import BulkCohort, checked, donor_of, donor_row, is_known
from protocols.errors import UserError
from protocols.survival.cohort import SlideFile


def reasons(cohort: BulkCohort) -> dict[str, str]:
    return {item.what: item.reason for item in cohort.excluded}


def cohort_of(**changes: object) -> BulkCohort:
    parts = {
        "name": "c",
        "patients": ("a", "b"),
        "genes": ("G", "H"),
        "gene_types": ("lncRNA", "miRNA"),
        "expression": np.ones((2, 2), np.float32),
        "slides": (SlideFile("s", "b", "s.tif"), SlideFile("r", "a", "r.tif")),
    }
    return BulkCohort(**{**parts, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"patients": ("b", "a")}, "out of order"),
        ({"patients": ("a", "a")}, "patient a 2 times"),
        ({"genes": ("G", "G")}, "gene G 2 times"),
        ({"slides": (SlideFile("s", "a", "1"), SlideFile("s", "b", "2"))}, "slide s 2 times"),
        ({"gene_types": ("lncRNA",)}, "1 gene types"),
        ({"tissue": ("Lung",)}, "1 tissues"),
        ({"expression": np.ones((2, 3), np.float32)}, r"shape \(2, 3\)"),
        ({"expression": np.array([[1, np.nan], [1, 1]], np.float32)}, "expression of H in a is nan"),
        ({"expression": np.array([[1, 1], [-1, 1]], np.float32)}, "expression of G in b is -1"),
        ({"slides": (SlideFile("s", "z", "s.tif"),)}, "none of 1 slides"),
    ],
)
def test_a_cohort_that_does_not_fit_is_refused(changes: dict[str, object], says: str) -> None:
    with pytest.raises(UserError, match=says):
        checked(cohort_of(**changes))


def test_checked_leaves_out_by_name() -> None:
    made = checked(cohort_of(slides=(SlideFile("s", "b", "s.tif"), SlideFile("t", "z", "t.tif"))))
    assert made.patients == ("b",)
    assert made.expression.shape == (1, 2)
    assert reasons(made) == {"slide t": "no expression of patient z", "patient a": "no slide"}
    assert [slide.slide for slide in checked(cohort_of()).slides] == ["r", "s"]
    negative = cohort_of(tissue=("Lung", "Lung"), expression=-np.ones((2, 2), np.float32))
    assert checked(negative).tissue == ("Lung", "Lung")


def test_people_behind_rows() -> None:
    assert donor_of(donor_row("GTEX-1117F", "Lung")) == "GTEX-1117F"
    assert donor_of("TCGA-AA-0001") == "TCGA-AA-0001"
    assert [is_known(one) for one in ("p", " ", "", None, float("nan"))] == [True, False, False, False, False]
