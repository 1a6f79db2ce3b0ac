"""Two models on one board, paired: by hand, in both directions, and never against the board's own ranks."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.errors import UserError
from protocols.metric import Metric
from protocols.records import Interval, ScoreRecord
from reports.compare import Comparison, compare, compare_all, table
from reports.leaderboard import build_leaderboards
from tests.reports.synthetic import pseudo_values, record, skipped

PATIENTS = [f"p{i}" for i in range(6)]
ERROR = [asdict(Metric("error", "Error", "mean absolute error", higher_is_better=False))]
SLOPE = [asdict(Metric("slope", "Slope", "slope", higher_is_better=None))]


def made(model: str, values: list[float], **changes: Any) -> ScoreRecord:
    return record(model=model, per_patient=dict(zip(PATIENTS, values, strict=False)), **changes)


def genes(**r: float | None) -> list[dict[str, Any]]:
    return [{"gene": gene, "pearson": value} for gene, value in r.items()]


LOW, HIGH = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], [0.3, 0.4, 0.5, 0.6, 0.7, 0.8]


def test_a_difference_that_every_patient_shows() -> None:
    found = compare(made("a", HIGH), made("b", LOW), seed=0)
    assert (found.protocol, found.board, found.a, found.b) == ("intra_patient", "phantom", "a", "b")
    difference = found.difference
    assert (difference.mean, difference.low, difference.high) == pytest.approx((0.2, 0.2, 0.2))
    assert (difference.n_patients, found.better, found.metric) == (6, "A", "Pearson r")
    turned = compare(made("b", LOW), made("a", HIGH), seed=0)
    assert (turned.difference.mean, turned.better) == (pytest.approx(-0.2), "B")


def test_less_is_better_where_the_protocol_says_so() -> None:
    found = compare(made("a", HIGH, metrics=ERROR), made("b", LOW, metrics=ERROR), seed=0)
    assert (found.difference.mean, found.better) == (pytest.approx(0.2), "B")
    described = compare(made("a", HIGH, metrics=SLOPE), made("b", LOW, metrics=SLOPE), seed=0)
    assert (described.difference.mean, described.better) == (pytest.approx(0.2), "neither")


def test_a_difference_of_both_signs_tells_nobody_apart() -> None:
    other = [value + (0.1 if at % 2 else -0.1) for at, value in enumerate(HIGH)]
    found = compare(made("a", HIGH), made("b", other), seed=0)
    assert found.difference.mean == pytest.approx(0.0)
    assert found.difference.low is not None
    assert found.difference.low < 0 < (found.difference.high or 0)
    assert found.better == "neither"


def test_only_patients_that_both_have_count() -> None:
    found = compare(made("a", HIGH), made("b", LOW[:4]), seed=0)
    assert (found.difference.n_patients, found.difference.mean) == (4, pytest.approx(0.2))
    single = compare(made("a", HIGH), made("b", LOW[:1]), seed=0)
    assert (single.difference.low, single.better) == (None, "neither")
    nobody = compare(made("a", HIGH), record(model="b", per_patient={"q": 0.1}), seed=0)
    assert (nobody.difference.mean, nobody.better) == (None, "neither")


def test_pseudo_values_are_paired_by_patient() -> None:
    values = np.array([0.5, 0.6, 0.7, 0.8, 0.9, 0.4, 0.3, 0.2])
    a, b = (
        record(model=name, per_patient={}, pseudo_values=pseudo_values(found), headline=Interval(0.6, None, None, 8))
        for name, found in (("a", values + 0.1), ("b", values))
    )
    found = compare(a, b, seed=0)
    difference = found.difference
    assert (difference.mean, difference.low, difference.high) == pytest.approx((0.1, 0.1, 0.1))
    assert (difference.n_patients, found.better, found.p) == (8, "A", 2 / 2**8)
    turned = compare(a, replace(b, pseudo_values=pseudo_values(values[::-1])), seed=0)
    assert turned.better == "neither", "the same values of other patients are not paired"


def test_genes_by_hand() -> None:
    a = made("a", HIGH, per_gene=genes(A=0.5, B=0.6, C=0.7, D=0.8, E=0.9, F=0.4, G=None, H=0.3))
    b = made("b", LOW, per_gene=genes(A=0.1, B=0.1, C=0.1, D=0.1, E=0.1, F=0.4, G=0.2, I=0.9))
    found = compare(a, b, seed=0)
    assert (found.genes, found.genes_a_better, found.genes_b_better) == (6, 5, 0), "F is a tie, G, H, I are not shared"
    assert found.genes_p == pytest.approx(2 * 0.5**5), "five of five heads, two-sided"
    same = compare(a, replace(a, model="b"), seed=0)
    assert (same.genes, same.genes_a_better, same.genes_p) == (7, 0, None)
    assert compare(made("a", HIGH), b, seed=0).genes == 0


@pytest.mark.parametrize("name", ["cohort", "split"])
def test_other_data_are_refused(name: str) -> None:
    a, b = made("a", HIGH), made("b", LOW)
    with pytest.raises(UserError, match=f"'a' and 'b' were scored on a different {name}"):
        compare(a, replace(b, hashes={**b.hashes, name: "other"}), seed=0)


def test_other_boards_versions_and_headlines_are_refused() -> None:
    a, b = made("a", HIGH), made("b", LOW)
    with pytest.raises(UserError, match="a is of intra_patient, phantom"):
        compare(a, replace(b, board="other"), seed=0)
    with pytest.raises(UserError, match="different protocol version"):
        compare(a, replace(b, protocol_version="2"), seed=0)
    with pytest.raises(UserError, match="records with the headlines pearson_per_slide and error"):
        compare(a, replace(b, metrics=ERROR), seed=0)


def test_every_board_that_has_both_in_the_boards_order() -> None:
    records = [
        made("a", HIGH), made("b", LOW),
        record("inter_patient", "b", dict.fromkeys(PATIENTS, 0.4)), skipped("inter_patient", "a", "too few"),
        record("cross_cancer", "a", dict.fromkeys(PATIENTS, 0.4)),
        replace(made("a", LOW), seed=1), replace(made("b", HIGH), seed=1),
    ]  # fmt: skip
    found = compare_all(records, "a", "b", seed=0)
    assert [(one.protocol, one.better, one.reason) for one in found] == [
        ("intra_patient", "A", ""),
        ("inter_patient", "neither", "a was skipped: too few"),
    ]
    assert compare_all(records, "a", "b", seed=1)[0].better == "B", "of the run's own seed"
    with pytest.raises(UserError, match="no board has both 'a' and 'c'"):
        compare_all(records, "a", "c", seed=0)
    with pytest.raises(UserError, match="'a' twice"):
        compare_all(records, "a", "a", seed=0)


def test_an_undefined_headline_is_said() -> None:
    found = compare(made("a", HIGH), record(model="b", per_patient={}), seed=0)
    assert found.reason == "the headline of b is undefined"
    assert "nothing to compare: the headline of b is undefined" in table(found)


def test_words_for_the_terminal() -> None:
    a, b = made("a", HIGH[:3], per_gene=genes(A=0.5)), made("b", LOW[:3], per_gene=genes(A=0.1))
    assert table(compare(a, b, seed=0)).splitlines() == [
        "  Pearson r, a minus b: 0.200 (95 % CI 0.200 to 0.200, p 0.250), 3 patients: not told apart",
        "  p is of these two alone; ranks take all pairs of the board together",
        "  fewer than 6 patients can tell no two models apart",
        "  Pearson r of 1 genes: a is ahead in 1, b in 0 (sign test p 1.000, genes taken as independent)",
    ]
    nothing = Comparison("p", "x", "a", "b", "C", Interval(0.1, None, None, 60), "neither")
    assert table(nothing).splitlines()[0] == "  C, a minus b: 0.100 (95 % CI n/a, p n/a), 60 patients: not told apart"


SIXTEENTHS = st.lists(st.integers(0, 16).map(lambda value: value / 16), min_size=8, max_size=8)
"""Of eight patients, so that means are exact in binary and no rounding decides."""


@settings(deadline=None, max_examples=40)
@given(SIXTEENTHS, SIXTEENTHS, st.booleans())
def test_it_never_contradicts_the_ranks(a: list[float], b: list[float], less: bool) -> None:
    changes = {"metrics": ERROR} if less else {}
    patients = [f"q{i}" for i in range(8)]
    one, other = (
        record(model=name, per_patient=dict(zip(patients, values, strict=True)), **changes)
        for name, values in (("a", a), ("b", b))
    )
    (board,) = build_leaderboards([one, other], seed=3)
    ranks = {row.model: row.rank for row in board.rows}
    wanted = {(1, 2): "A", (2, 1): "B", (1, 1): "neither"}[ranks["a"] or 0, ranks["b"] or 0]
    assert compare(one, other, seed=3).better == wanted
