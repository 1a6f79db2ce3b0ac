"""Leaderboards of survival records: boards, ranks from resamples, claims, curves."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from protocols.errors import UserError
from protocols.records import RECORD_FILE, Interval, ScoreRecord
from reports.claims import Status, answers, claims_of
from reports.leaderboard import build_leaderboards
from reports.ranking import rank_replicates
from reports.tables import p_value, tie_lines
from reports.write import write_reports
from tests.reports.synthetic import record

CARD_CLAIMS = [
    {"protocol": "tcga_survival", "metric": "C-index, BRCA", "value": 0.58, "spread": 0.069, "source": "a paper"},
    {"protocol": "tcga_survival", "metric": "C-index, LUAD", "value": 0.62, "source": "a paper"},
    {"protocol": "tcga_survival", "metric": "C-index, mean of cohorts", "value": 0.69, "source": "a paper"},
    {"protocol": "tcga_survival", "metric": "IPCW C-index, mean of cohorts", "value": 0.63, "source": "a paper"},
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
        biology=[],
        headline=Interval(mean, mean - 0.05, mean + 0.05, 60),
        replicates=(mean + shift + rng.normal(0, 0.02, 200)).tolist(),
        summary={"harrell_sd": 0.03, "uno_mean": mean - 0.01, "logrank_p": 2e-5},
        survival=CURVES,
        cohort={"name": board, "phantom": True, "unit": "patient", "n_patients": 60, "n_events": 24, "n_slides": 0},
        card={**made.card, "published": CARD_CLAIMS},
        **more,  # type: ignore[arg-type]
    )


def written(folder: Path, records: list[ScoreRecord]) -> list[Path]:
    cells = []
    for made in records:
        cell = folder / made.model / made.board
        cell.mkdir(parents=True)
        (cell / RECORD_FILE).write_text(made.to_json())
        cells.append(cell)
    return cells


def test_paired_resamples_rank_and_tie() -> None:
    rng = np.random.default_rng(1)
    common = rng.normal(0, 0.05, 500)
    ranking = rank_replicates(
        {
            "best": (0.70, (0.70 + common).tolist()),
            "close": (0.695, (0.695 + common + rng.normal(0, 0.02, 500)).tolist()),
            "worse": (0.60, (0.60 + common + rng.normal(0, 0.01, 500)).tolist()),
        }
    )
    assert ranking.ranks == {"best": 1, "close": 1, "worse": 3}
    assert ranking.ties == ((1, ("best", "close")),)
    assert ranking.detectable is not None
    assert ranking.detectable.difference == pytest.approx(2.8 * 0.02, rel=0.15)


def test_unpaired_numbers_of_resamples_are_no_evidence() -> None:
    assert rank_replicates({"a": (0.9, [0.9] * 10), "b": (0.1, [0.1] * 9)}).ranks == {"a": 1, "b": 1}


def test_a_board_a_cohort_the_average_first() -> None:
    boards = build_leaderboards(
        [survival("m", board, 0.6) for board in ("phantom_luad", "average", "phantom_brca")], seed=0
    )
    assert [board.board for board in boards] == ["average", "phantom_brca", "phantom_luad"]
    assert boards[1].title == "Five-fold survival: phantom_brca"
    assert boards[1].key == "tcga_survival-phantom_brca"
    assert any("24 events" in notice.text for notice in boards[1].notices)
    assert tie_lines(boards[0]) == ()


def test_a_claim_speaks_of_its_own_board_alone() -> None:
    def metrics(board: str) -> list[str]:
        return [claim.metric for claim in claims_of(survival("m", board, 0.6))]

    assert metrics("phantom_brca") == ["C-index, BRCA"]
    assert metrics("average") == ["C-index, mean of cohorts", "IPCW C-index, mean of cohorts"]
    assert metrics("gse7390") == []
    own, ipcw = claims_of(survival("m", "average", 0.6))
    assert (own.measured, ipcw.measured) == (0.6, pytest.approx(0.59))
    assert Status.PHANTOM in own.statuses
    assert not answers("C-index, BRCA", "phantom_brca2")


def test_p_values() -> None:
    assert [p_value(value) for value in (0.04, 0.001, 2e-5, 1e-5, None)] == [
        "0.040",
        "0.001",
        "< 1e−4",
        "< 1e−5",
        "n/a",
    ]


def test_every_form_shows_the_boards(tmp_path: Path) -> None:
    records = [survival(m, b, v) for m, v in (("one", 0.7), ("two", 0.6)) for b in ("average", "phantom_brca")]
    paths = write_reports(
        written(tmp_path / "s", [*records, record(model="x", protocol="intra_patient")]), tmp_path, seed=0
    )
    rows = list(csv.DictReader(paths.csv.read_text().splitlines()))
    assert {(row["protocol"], row["board"]) for row in rows} == {
        ("intra_patient", ""), ("tcga_survival", "average"), ("tcga_survival", "phantom_brca"),
    }  # fmt: skip
    assert [b["board"] for b in json.loads(paths.json.read_text())["leaderboards"]][1:] == ["average", "phantom_brca"]
    for text in (paths.markdown.read_text(), paths.latex.read_text(), paths.html.read_text()):
        assert "C-index" in text
    assert {path.name for path in paths.figures} >= {"curves_tcga_survival-phantom_brca.png"}


def test_mixed_cohorts_and_copied_cells_are_refused(tmp_path: Path) -> None:
    one, two = survival("one", "phantom_brca", 0.7), survival("two", "phantom_brca", 0.6)
    with pytest.raises(UserError, match="different cohort"):
        build_leaderboards([replace(one, hashes={"cohort": "a"}), replace(two, hashes={"cohort": "b"})], seed=0)
    cells = written(tmp_path, [one])
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / RECORD_FILE).write_text(one.to_json())
    with pytest.raises(UserError, match="a second record of tcga_survival phantom_brca x one"):
        write_reports([*cells, copy], tmp_path / "out", seed=0)
