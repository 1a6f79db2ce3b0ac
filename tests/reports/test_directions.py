"""Ranks, orders and arrows follow the direction that a protocol declares of each metric."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from protocols.errors import UserError
from protocols.metric import Metric
from protocols.metrics.patient_values import plain_mean
from protocols.records import ScoreRecord
from reports import latex, markdown
from reports.ihc import ihc_cells
from reports.leaderboard import Leaderboard, build_leaderboards
from reports.metrics import best_first
from reports.page import matrix, page
from reports.page_data import page_data
from reports.ranking import rank_models
from reports.tables import columns
from tests.reports.synthetic import record

ERROR = Metric("error", "Error", "mean absolute error", higher_is_better=False, unit="log")
R = Metric("r", "Pearson r", "r of everything", nothing=0.0)
SLOPE = Metric("slope", "Slope", "slope of the regression", higher_is_better=None)
PATIENTS = [f"p{i}" for i in range(10)]


def made(model: str, mean: float, *metrics: Metric, kind: str = "model", **changes: Any) -> ScoreRecord:
    """Patients lie around the mean by the same steps for every model, so each difference is exact."""
    values = {patient: mean + 0.01 * i - 0.045 for i, patient in enumerate(PATIENTS)}
    told = [asdict(metric) for metric in metrics or (ERROR, R)]
    return record("p", model, values, kind=kind, metrics=told, summary={"r": 1 - mean}, **changes)


def board(*records: ScoreRecord) -> Leaderboard:
    (found,) = build_leaderboards(records, seed=0)
    return found


def errors() -> list[ScoreRecord]:
    return [
        made("large", 0.9),
        made("small", 0.1),
        made("middle", 0.5),
        made("mean", 1.2, kind="control"),
        made("zero", 1.1, kind="control"),
        made("truth", 0.05, kind="oracle"),
    ]


def ranks(records: list[ScoreRecord]) -> list[tuple[str, int | None]]:
    return [(row.model, row.rank) for row in board(*records).rows]


def test_less_is_first_where_less_is_better() -> None:
    assert ranks(errors()) == [
        ("small", 1), ("middle", 2), ("large", 3), ("truth", None), ("zero", None), ("mean", None),
    ]  # fmt: skip


def test_the_same_values_the_other_way_round() -> None:
    turned = [replace(one, metrics=[asdict(R)]) for one in errors()]
    assert ranks(turned) == [
        ("large", 1), ("middle", 2), ("small", 3), ("truth", None), ("mean", None), ("zero", None),
    ]  # fmt: skip


def test_ties_and_what_could_be_detected_do_not_depend_on_the_direction() -> None:
    up = {p: 0.5 + 0.01 * i for i, p in enumerate(PATIENTS)}
    tied = {p: v + (0.02 if i % 2 else -0.02) for i, (p, v) in enumerate(up.items())}
    low = {p: v - 0.2 for p, v in up.items()}
    given = {name: plain_mean(values) for name, values in (("a", up), ("b", tied), ("low", low))}
    more, less = (rank_models(given, seed=0, sign=sign) for sign in (1, -1))
    assert (more.ranks, less.ranks) == ({"a": 1, "b": 1, "low": 3}, {"low": 1, "a": 2, "b": 2})
    assert (more.ties, less.ties) == (((1, ("a", "b")),), ((2, ("a", "b")),))
    assert less.detectable is not None
    assert {less.detectable.best, less.detectable.second} < {"low", "a", "b"}
    assert less.detectable.difference >= 0


def test_pseudo_values_follow_the_direction() -> None:
    columns = {"patient": PATIENTS, "weight": [0.1] * 10, "stratum": ["0"] * 10}
    told = [
        replace(one, per_patient={}, pseudo_values={**columns, "value": list(one.per_patient.values())})
        for one in errors()
    ]
    assert ranks(told)[:3] == [("small", 1), ("middle", 2), ("large", 3)]


def test_a_headline_that_only_describes_ranks_nobody() -> None:
    found = board(made("a", 0.2, SLOPE), made("b", 0.9, SLOPE))
    assert [(row.group, row.rank, row.reason) for row in found.rows] == [
        ("unranked", None, "the headline only describes")
    ] * 2
    assert (found.ties, found.detectable) == ((), None)
    assert "describes only, so nothing is ranked" in markdown.markdown([found], [])


def test_every_form_shows_which_way_is_better() -> None:
    found = board(*errors())
    titles = [column.title for column in columns(found)]
    assert "Error (log) ↓" in titles
    assert "Pearson r" in titles, "more is better unless an arrow says otherwise"
    assert "Error (log) ↓" in markdown.markdown([found], [])
    assert "mean absolute error; lower is better" in markdown.markdown([found], [])
    assert r"Error (log) $\downarrow$" in latex.latex([found], [])
    assert "Error (log) ↓" in page([found], [], {})


def test_the_page_sorts_low_first_where_less_is_better() -> None:
    found = board(*errors())
    (shown,) = page_data([found], {}, {found.key: "p"})["boards"]
    assert {"rank", "model", "mean"} <= set(shown["low_first"])
    assert "r" not in shown["low_first"]
    other = board(*(replace(one, metrics=[asdict(R), asdict(ERROR)], summary={"error": 0.3}) for one in errors()))
    (shown,) = page_data([other], {}, {other.key: "p"})["boards"]
    assert "error" in shown["low_first"]
    assert "mean" not in shown["low_first"]


def test_the_matrix_and_the_figures_begin_with_the_best() -> None:
    assert [title for title, _, _ in matrix([board(*errors())])] == [
        "small",
        "middle",
        "large",
        "truth",
        "zero",
        "mean",
    ]
    assert [one.model for one in sorted(errors(), key=best_first)] == [
        "truth", "small", "middle", "large", "zero", "mean",
    ]  # fmt: skip
    patches = [(replace(one, cohort={**one.cohort, "unit": "patch"}), Path()) for one in errors()]
    (cells,) = ihc_cells(patches).values()
    assert [one.model for one, _ in cells] == ["truth", "small", "middle", "large", "zero", "mean"]


@pytest.mark.parametrize(
    ("other", "said"), [(R, "the headlines error and r"), (replace(ERROR, higher_is_better=True), "two directions")]
)
def test_two_headlines_have_no_common_order(other: Metric, said: str) -> None:
    with pytest.raises(UserError, match=said):
        board(made("a", 0.1), made("b", 0.2, other))


def test_a_record_without_metrics_is_refused() -> None:
    with pytest.raises(UserError, match="a record of a without metrics"):
        board(replace(made("a", 0.1), metrics=[]))
