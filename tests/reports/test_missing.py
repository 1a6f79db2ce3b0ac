"""A report can be had at any time: it shows what is there and says what is not."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from reports.leaderboard import build_leaderboards, without_records
from reports.terminal import print_leaderboards
from reports.write import ReportPaths, write_reports
from tests.reports.synthetic import record, skipped, write

MISSING = {
    "intra_patient-phantom": ["past", "uni (seed 1)"],
    "inter_patient-phantom": ["past", "uni"],
    "cross_cancer-phantom": [],
}


def written(tmp_path: Path) -> ReportPaths:
    scores = write([record(model="uni")], tmp_path / "scores", with_maps=False)
    return write_reports(scores, tmp_path / "out", seed=0, missing=MISSING)


def test_a_board_names_the_cells_that_it_lacks(tmp_path: Path) -> None:
    (board,) = build_leaderboards([record(model="uni")], seed=0, missing=MISSING)
    assert board.missing == ("past", "uni (seed 1)")
    assert [(n.level, n.text) for n in board.notices if "Not scored" in n.text] == [
        ("note", "Not scored yet: past, uni (seed 1).")
    ]
    paths = written(tmp_path)
    for path in (paths.html, paths.markdown):
        assert "Not scored yet: past, uni (seed 1)." in path.read_text()
    assert json.loads(paths.json.read_text())["leaderboards"][0]["missing"] == ["past", "uni (seed 1)"]


def test_a_whole_board_lacks_nothing() -> None:
    (board,) = build_leaderboards([record(model="uni")], seed=0, missing={"inter_patient-phantom": ["past"]})
    assert board.missing == ()
    assert not [notice for notice in board.notices if "Not scored" in notice.text]


def test_a_skipped_cell_is_not_missing() -> None:
    (board,) = build_leaderboards([record(model="uni"), skipped("intra_patient", "oracle", "why")], seed=0, missing={})
    assert (board.missing, board.group("skipped")[0].reason) == ((), "why")


def test_a_board_without_any_record_is_named_in_every_form(tmp_path: Path) -> None:
    boards = build_leaderboards([record(model="uni")], seed=0, missing=MISSING)
    assert without_records(boards, MISSING) == {"inter_patient-phantom": ("past", "uni")}
    paths = written(tmp_path)
    assert json.loads(paths.json.read_text())["without_records"] == {"inter_patient-phantom": ["past", "uni"]}
    assert "## Not scored yet\n\n- **inter\\_patient-phantom**: past, uni" in paths.markdown.read_text()
    overview = paths.html.read_text().split('id="overview"')[1].split('id="b0"')[0]
    assert "<dt>inter_patient-phantom</dt><dd>past, uni</dd>" in overview
    assert "cross_cancer" not in paths.markdown.read_text(), "nothing is missing there"


def test_a_report_of_nothing_says_so(tmp_path: Path) -> None:
    paths = write_reports(tmp_path / "scores", tmp_path / "out", seed=0, missing=MISSING)
    for path in (paths.html, paths.markdown):
        assert "Nothing has been scored yet" in path.read_text()
        assert "past, uni" in path.read_text()
    assert json.loads(paths.json.read_text())["leaderboards"] == []
    assert paths.csv.read_text().strip() == ""
    assert paths.figures == ()


def test_figures_of_boards_that_are_gone_go(tmp_path: Path) -> None:
    paths = written(tmp_path)
    assert paths.figures
    write_reports([], tmp_path / "out", seed=0)
    assert not list((tmp_path / "out" / "figures").iterdir())


@pytest.mark.parametrize("scored", [True, False])
def test_the_terminal_says_what_is_missing(tmp_path: Path, scored: bool) -> None:
    scores = write([record(model="uni")] if scored else [], tmp_path / "scores", with_maps=False)
    console = Console(width=140, record=True, file=io.StringIO())
    print_leaderboards(scores, seed=0, console=console, missing=MISSING, task_notices={"expression": _said})
    text = console.export_text()
    assert "not scored yet: inter_patient-phantom: past, uni" in text
    assert ("Nothing has been scored yet" in text) is not scored
    assert ("not scored yet: intra_patient-phantom" in text) is not scored, "its board says it"
    assert ("Not scored yet: past, uni (seed 1)." in text) is scored
    assert ("As the task says: 1." in text) is scored


def _said(records: object) -> list[tuple[str, str]]:
    assert isinstance(records, list)
    return [("warning", f"As the task says: {len(records)}.")]
