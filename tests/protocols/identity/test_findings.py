"""The judgement on people and contents: what fails, what is unverifiable, what is no leak, and what is a note."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from protocols.findings import Finding, worst
from protocols.identity.evidence import NO_PRINT, Kept, Known
from protocols.identity.findings import BYTES, LOOK, ONE_ID, OTHER_PEOPLE, PIXELS, VALUES, Looked, identity_findings
from protocols.identity.matches import Held
from protocols.identity.sites import shared_sites
from protocols.identity.tables import PATIENT, Tokens, nothing
from protocols.splits import Fold, Split


def item(name: str, person: str | None, row: int = 0, **told: Any) -> Known:
    fields: dict[str, Any] = {"bytes": "", "pixels": "", "seen": "", "look": True, "has_table": False}
    return Known(name, person, (row, row + 1), **fields | told)


def held(items: Sequence[Known], name: str = "own", rule: str = "auto", tables: Sequence[Tokens] = ()) -> Held:
    kept = Kept(tuple(items), (NO_PRINT,) * len(items), tuple(tables) or (nothing(),) * len(items), PATIENT)
    return Held(name, kept, rule)


def rows(*given: int) -> Any:
    return np.array(given, dtype=np.int64)


SPLIT = Split((Fold("0", "0", rows(0, 1), rows(2, 3)), Fold("1", "1", rows(2, 3), rows(0, 1))))


def judged(*cohorts: Held, **told: Any) -> dict[str, Finding]:
    return {one.check: one for one in identity_findings(Looked(cohorts, **{"split": SPLIT} | told))}


def people(*labels: str | None) -> list[Known]:
    return [item(f"slide {row}", label, row) for row, label in enumerate(labels)]


def test_three_ids_of_one_person_name_two_of_them_the_rule_and_the_remedy() -> None:
    told = judged(held(people("TCGA-A1-A0SB-01A", "TCGA-A1-A0SB-11A", "tcga-a1-a0sb")))[ONE_ID]
    assert told.verdict == "fail"
    assert told.detail == (
        "'TCGA-A1-A0SB-01A' and 'TCGA-A1-A0SB-11A' of own are one person, TCGA-A1-A0SB, by the rule auto, 1 in all; "
        "write one id a person, or set persons: exact for that cohort if they are different people"
    )
    assert judged(held(people("TCGA-A1-A0SB-01A", "tcga-a1-a0sb"), rule="exact"))[ONE_ID].verdict == "pass"


def test_fifteen_people_as_thirty_and_again_under_twelve_characters() -> None:
    barcodes = [f"TCGA-A1-A{k:03d}" for k in range(15)]
    own = held(people(*(f"{one}{sample}" for one in barcodes for sample in ("-01A", "-11A"))))
    assert "15 in all" in judged(own)[ONE_ID].detail
    outside = held(people(*barcodes), "outside")
    told = judged(held(people(*(f"{one}-01A" for one in barcodes))), outside, apart=[("own", "outside")])
    assert told[OTHER_PEOPLE].verdict == "fail"
    assert told[OTHER_PEOPLE].detail.startswith("patient TCGA-A1-A000 is in own and in outside, 15 in all")


def test_people_of_cohorts_that_are_not_compared_may_be_the_same() -> None:
    one, other, third = (held(people("P1"), name) for name in ("own", "outside", "further"))
    told = judged(one, other, third, apart=[("own", "outside")])[OTHER_PEOPLE]
    assert "further" not in told.detail
    assert judged(one, held(people("P2"), "outside"), third, apart=[("own", "outside")])[OTHER_PEOPLE].verdict == "pass"
    assert OTHER_PEOPLE not in judged(one)


def test_ids_that_each_cohort_counts_for_itself_are_a_note_where_scores_are_averaged() -> None:
    pair = [("own", "outside")]
    told = judged(held(people("P1", "P2")), held(people("p-01"), "outside"), independent=pair)[OTHER_PEOPLE]
    assert (told.verdict, told.detail) == (
        "note", "1 ids are in own and outside, first p-1: taken for different people"
    )  # fmt: skip
    barcodes = [held(people("TCGA-A1-A0SB"), name) for name in ("own", "outside")]
    assert judged(*barcodes, independent=pair)[OTHER_PEOPLE].verdict == "fail"


def test_an_unknown_patient_is_not_another_one() -> None:
    told = judged(held(people("P1")), held(people(None), "outside"), apart=[("own", "outside")])[OTHER_PEOPLE]
    assert (told.verdict, told.detail) == ("unverifiable", "patient unknown for 1 items, first slide 0 of outside")


def same(*labels: str | None, **told: Any) -> list[Known]:
    """A file under several labels, a row each."""
    return [item(f"slide {row}", label, row, bytes="b", **told) for row, label in enumerate(labels)]


def test_the_same_under_two_people_fails_wherever_it_lies() -> None:
    told = judged(held(same("P1", "P2")))[BYTES]
    assert (told.verdict, told.detail) == ("fail", "slide 1 of P2 has the bytes of slide 0 of P1, 1 in all")
    assert judged(held(same("P1", "P2")), split=Split(()))[BYTES].verdict == "fail"


def test_the_same_twice_of_one_person_is_counted() -> None:
    told = judged(held(same("P1", "p-1")))
    assert told[BYTES].verdict == "pass"
    assert told[BYTES].detail.endswith("1 pairs of one person are the same")
    assert told[ONE_ID].verdict == "fail"


def test_the_same_of_one_person_fails_where_a_fold_splits_a_person_and_has_it_in_two_roles() -> None:
    twins = [item("slide a", "P1", 0, bytes="b"), item("slide b", "P1", 2, bytes="b")]
    assert judged(held(twins))[BYTES].verdict == "pass"
    told = judged(held(twins), within=True)[BYTES]
    assert told.verdict == "fail"
    assert told.detail == "slide b of P1 has the bytes of slide a of P1, and folds 0 have them in two roles, 1 in all"
    beside = [item("slide a", "P1", 0, bytes="b"), item("slide b", "P1", 1, bytes="b")]
    assert judged(held(beside), within=True)[BYTES].verdict == "pass", "both train or both are tested"


def test_what_a_group_of_folds_trains_on_is_looked_at_as_one() -> None:
    """Folds of a group share one pre-training set."""
    split = Split((Fold("a", "g", rows(0), rows(1)), Fold("b", "g", rows(2), rows(3))))
    twins = [item("slide a", "P1", 0, bytes="b"), item("slide b", "P1", 3, bytes="b")]
    assert judged(held(twins), split=split, within=True)[BYTES].verdict == "fail"


def test_the_same_of_somebody_unknown_fails_in_two_roles_and_is_unverifiable_else() -> None:
    crossing = [item("slide a", None, 0, bytes="b"), item("slide b", "P1", 2, bytes="b")]
    assert judged(held(crossing))[BYTES].verdict == "fail"
    beside = [item("slide a", None, 0, bytes="b"), item("slide b", "P1", 1, bytes="b")]
    told = judged(held(beside))[BYTES]
    assert (told.verdict, told.detail) == (
        "unverifiable", "slide b of P1 has the bytes of slide a of an unknown patient, 1 in all"
    )  # fmt: skip


def test_the_same_in_two_cohorts() -> None:
    cohorts = [held(same("P1")), held(same("Q1"), "outside")]
    told = judged(*cohorts, apart=[("own", "outside")])[BYTES]
    assert told.detail == "slide 0 of Q1 of cohort outside has the bytes of slide 0 of P1, 1 in all"
    assert judged(*cohorts, independent=[("outside", "own")])[BYTES].verdict == "fail"
    assert judged(*cohorts)[BYTES].verdict == "pass", "neither is asked about the other"


def test_pixels_and_tables() -> None:
    pictures = [item(f"slide {k}", f"P{k}", k, pixels="p", bytes=str(k), seen="seen") for k in range(2)]
    assert judged(held(pictures))[PIXELS].detail == "slide 1 of P1 has the pixels of slide 0 of P0, 1 in all"
    tokens = np.arange(9, dtype=np.uint64)
    tables = [item("features", f"P{k}", k, has_table=True) for k in range(2)]
    told = judged(held(tables, tables=[tokens, tokens]))[VALUES]
    assert told.detail == "features of P1 has the values (9 of 9 compared) of features of P0, 1 in all"


def test_what_was_not_compared_is_unverifiable_with_its_number() -> None:
    states = [item("slide", f"P{k}", k, bytes=str(k), seen=seen) for k, seen in enumerate(("over the maximum",) * 3)]
    bag = item("slide", "P8", 8, bytes="8")
    lost = item("slide", "P9", 9, bytes="9", seen="unreadable")
    told = judged(held([*states, bag, lost]))
    wanted = "3 images over the maximum in own, 1 files that are no image in own, 1 images unreadable in own"
    assert (told[PIXELS].verdict, told[PIXELS].detail) == ("unverifiable", wanted)
    assert (told[LOOK].verdict, told[LOOK].detail) == ("unverifiable", wanted)
    pale = judged(held([item("slide", "P1", 0, bytes="1", pixels="1", seen="seen")]))
    assert pale[PIXELS].verdict == "pass"
    assert pale[LOOK].detail == "1 images with too little to be recognised by in own"
    empty = judged(held([item("features", "P1", 0, has_table=True)]))
    assert empty[VALUES].detail == "1 tables with too little to be recognised by in own"


def test_a_cohort_without_images_passes() -> None:
    told = judged(held([item("features", "P1", 0)]))
    assert {told[check].verdict for check in (BYTES, PIXELS, LOOK)} == {"pass"}
    assert told[LOOK].detail == "no image"


def test_source_sites() -> None:
    labels = ["TCGA-A1-A001", "TCGA-A2-A002", "TCGA-A1-A003", "TCGA-A3-A004"]
    found = shared_sites(held(people(*labels)), SPLIT)
    assert found is not None
    assert found.verdict == "note"
    assert found.detail == (
        "50% of a fold's test patients are of a site that is trained on "
        "(fold 0: 1 of 2 sites, 50% of patients; fold 1: 1 of 2 sites, 50% of patients)"
    )
    assert shared_sites(held(people("P1", "P2")), SPLIT) is None


def test_a_note_is_less_than_a_doubt() -> None:
    assert worst(["pass", "note"]) == "note"
    assert worst(["note", "unverifiable"]) == "unverifiable"
    assert worst(["unverifiable", "fail", "note"]) == "fail"
    assert worst([]) == "pass"
