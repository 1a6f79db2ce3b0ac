"""Leaderboards of survival records: boards, ranks from resamples, claims, curves."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protocols.errors import UserError
from protocols.records import Interval, ScoreRecord
from protocols.registry import load_task
from reports.claims import Status, answers, claims_of
from reports.curves import curves_figure, curves_of
from reports.leaderboard import build_leaderboards
from reports.tables import p_value, tie_lines
from reports.write import write_reports
from tests.reports.synthetic import pseudo_values, record, sealed, write

CARD_CLAIMS: list[dict[str, object]] = [
    {"metric": "harrell_mean", "words": "C-index", "board": "brca", "value": 0.58, "spread": 0.069},
    {"metric": "harrell_mean", "words": "C-index", "board": "luad", "value": 0.62},
    {"metric": "harrell_mean", "words": "C-index", "board": "average", "value": 0.69},
    {"metric": "uno_mean", "words": "IPCW C-index", "board": "average", "value": 0.63},
]
CURVES = {
    "curves": [
        {"group": g, "time": [0.0, 5.0, 20.0], "survival": [1.0, s, s / 2], "low": [1.0, s / 2, 0.1],
         "high": [1.0, 1.0, s], "n": 30, "events": 12}
        for g, s in (("low", 0.9), ("high", 0.6))
    ],
    "at_risk": {"times": [0.0, 12.0, 24.0], "low": [30, 20, 5], "high": [30, 15, 2]},
}  # fmt: skip


def survival(model: str, board: str, mean: float, shift: float = 0.0, **more: object) -> ScoreRecord:
    rng = np.random.default_rng(0)
    made = record(model=model, protocol="tcga_survival")
    return replace(
        made,
        protocol_title="Five-fold survival",
        task="survival",
        board=board,
        per_patient={},
        per_gene=[],
        headline=Interval(mean, mean - 0.05, mean + 0.05, 60),
        pseudo_values=pseudo_values(mean + shift + rng.normal(0, 0.02, 60)),
        summary={"harrell_sd": 0.03, "uno_mean": mean - 0.01, "logrank_p": 2e-5},
        details=CURVES,
        cohort={"name": board, "phantom": True, "unit": "patient", "n_patients": 60, "n_events": 24, "n_slides": 0},
        card={
            **made.card,
            "published": [{"protocol": "tcga_survival", "source": "a paper", **claim} for claim in CARD_CLAIMS],
        },
        **more,  # type: ignore[arg-type]
    )


def test_few_patients_have_a_curve_without_a_band() -> None:
    curves: Any = CURVES["curves"]
    bare = {**CURVES, "curves": [{**one, "low": None, "high": None} for one in curves]}
    notices = {"survival": load_task("survival").notices}
    for details, bands in ((CURVES, 2), (bare, 0)):
        cell = replace(survival("cox", "brca", 0.6), details=details)
        (board,) = build_leaderboards([cell], seed=0, task_notices=notices)
        (row,) = board.rows
        assert sum(group["low"] is not None for group in curves_of(row)["groups"]) == bands
        figure = curves_figure(board)
        assert figure is not None
        assert len(figure.axes[0].collections) == bands
        assert len(figure.axes[0].lines) == 2


def test_a_board_a_cohort_the_average_first() -> None:
    boards = build_leaderboards(
        [survival("m", board, 0.6) for board in ("phantom_luad", "average", "phantom_brca")],
        seed=0,
        task_notices={"survival": load_task("survival").notices},
    )
    assert [board.board for board in boards] == ["average", "phantom_brca", "phantom_luad"]
    assert boards[1].title == "Five-fold survival: phantom_brca"
    assert boards[1].key == "tcga_survival-phantom_brca"
    assert any("24 events" in notice.text for notice in boards[1].notices)
    assert tie_lines(boards[0]) == ()


def test_a_claim_speaks_of_its_own_board_alone() -> None:
    def claimed(board: str) -> list[tuple[str, float]]:
        return [(claim.metric, claim.published) for claim in claims_of(survival("m", board, 0.6))]

    assert claimed("phantom_brca") == [("harrell_mean", 0.58)]
    assert claimed("average") == [("harrell_mean", 0.69), ("uno_mean", 0.63)]
    assert claimed("gse7390") == []
    own, ipcw = claims_of(survival("m", "average", 0.6))
    assert (own.measured, ipcw.measured) == (0.6, pytest.approx(0.59))
    assert Status.PHANTOM in own.statuses
    assert (own.is_headline, ipcw.is_headline) == (True, False)
    assert not answers({"board": "brca"}, "phantom_brca2")
    assert answers({"board": ""}, "phantom_brca2"), "a number of every board"


def test_p_values() -> None:
    assert [p_value(value) for value in (0.04, 0.001, 2e-5, 1e-5, None)] == [
        "0.040",
        "0.001",
        "< 1e−4",
        "< 1e−4",
        "n/a",
    ]


def test_every_form_shows_the_boards(tmp_path: Path) -> None:
    records = [survival(m, b, v) for m, v in (("one", 0.7), ("two", 0.6)) for b in ("average", "phantom_brca")]
    paths = write_reports(
        write([*records, record(model="x", protocol="intra_patient")], tmp_path / "s", with_maps=False),
        tmp_path,
        seed=0,
    )
    rows = list(csv.DictReader(paths.csv.read_text().splitlines()))
    assert {(row["protocol"], row["board"]) for row in rows} == {
        ("intra_patient", "phantom"), ("tcga_survival", "average"), ("tcga_survival", "phantom_brca"),
    }  # fmt: skip
    assert [b["board"] for b in json.loads(paths.json.read_text())["leaderboards"]][1:] == ["average", "phantom_brca"]
    for text in (paths.markdown.read_text(), paths.latex.read_text(), paths.html.read_text()):
        assert "C-index" in text
    assert {path.name for path in paths.figures} >= {"curves_tcga_survival-phantom_brca.png"}


def test_mixed_cohorts_and_copied_cells_are_refused(tmp_path: Path) -> None:
    one, two = survival("one", "phantom_brca", 0.7), survival("two", "phantom_brca", 0.6)
    with pytest.raises(UserError, match="different cohort"):
        build_leaderboards([replace(one, hashes={"cohort": "a"}), replace(two, hashes={"cohort": "b"})], seed=0)
    cell, copy = (sealed(one, tmp_path / name) for name in ("cell", "copy"))
    with pytest.raises(UserError, match="a second record of tcga_survival phantom_brca x one, seed 0"):
        write_reports([cell, copy], tmp_path / "out", seed=0)
