"""Who a label names: barcodes down to the patient, all else without what says nothing; and what is never merged."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from protocols.errors import UserError
from protocols.identity.known import known
from protocols.identity.persons import barcode_of, labels_by_person, person_of, source_site
from protocols.settings import CohortEntry

ONE = [
    [
        "TCGA-A1-A0SB-01A",
        "TCGA-A1-A0SB-11A",
        "tcga-a1-a0sb",
        "TCGA.A1.A0SB",
        "tcga_a1_a0sb_01z-00-DX1",
        " TCGA-A1-A0SB ",
    ],
    ["GTEX-1117F", "GTEX-1117F-0226-SM-5GZZ7", "gtex.1117F.0226"],
    ["C3L-00016", "c3l-00016-21", "C3L.00016"],
    ["TARGET-30-PAAPFA-01A", "TARGET-30-PAAPFA"],
    ["HCM-BROD-0003-C71", "HCM-BROD-0003-C71-85A-01D"],
    ["11LU013", "X11LU013"],
    ["P1", "p1", "P-1", "P_01", "p 001", " P.1"],
    ["Patient 12", "patient12", "PATIENT_0012"],
    ["7", "07", "007"],
]
TWO = [
    ("TCGA-A1-A0SB", "TCGA-A1-A0SC"), ("TCGA-A1-A0SB", "TCGA-A2-A0SB"), ("GTEX-1117F", "GTEX-111CU"), ("P1", "P11"),
    ("P1-1", "P11"), ("P10", "P1"), ("C3L-00016", "C3N-00016"), ("A", "B"), ("0", "1"), ("12/3", "123"),
    ("ST1", "ST-1-1"),
]  # fmt: skip


@pytest.mark.parametrize("labels", ONE, ids=lambda labels: str(labels[0]))
def test_ways_to_write_one_person(labels: list[str]) -> None:
    assert len({person_of(label, "auto") for label in labels}) == 1
    assert len({person_of(label, "exact") for label in labels}) == len(labels)


@pytest.mark.parametrize(("one", "other"), TWO)
def test_two_people_stay_two(one: str, other: str) -> None:
    assert person_of(one, "auto") != person_of(other, "auto")


def test_a_rule_of_ones_own() -> None:
    assert person_of("slide7_pt12_b", r"pt(\d+)") == "12"
    with pytest.raises(UserError, match="'slide7' has no part that matches"):
        person_of("slide7", r"pt(\d+)")


def test_labels_by_person_of_the_case() -> None:
    people = [f"TCGA-A1-A{k:03d}" for k in range(15)]
    labels = [f"{one}{sample}" for one in people for sample in ("-01A", "-11A")]
    found = labels_by_person(labels, "auto")
    assert list(found) == people
    assert found[people[3]] == [f"{people[3]}-01A", f"{people[3]}-11A"]


def test_barcodes_and_source_sites() -> None:
    assert source_site("tcga_a1_a0sb_01a") == "A1"
    assert source_site("GTEX-1117F") is source_site("P1") is barcode_of("P1") is None


@pytest.mark.parametrize("nobody", [None, float("nan"), "", "  ", "unknown", "N/A", "NaN"])
def test_labels_of_nobody(nobody: object) -> None:
    assert known(nobody) is None


@pytest.mark.parametrize("rule", ["exakt", "(a)(b)", "(", ""])
def test_a_rule_that_is_none_is_refused(rule: str) -> None:
    with pytest.raises(ValidationError, match="one group that is the person"):
        CohortEntry(reader="x", root=Path(), persons=rule)
