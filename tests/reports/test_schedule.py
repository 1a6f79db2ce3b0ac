"""A row whose training our cap cut short says so in every form, and is read as a verdict by none."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict
from typing import Any

import pytest
from rich.console import Console

from protocols.contract import ScheduleRecord
from protocols.records import ScoreRecord
from protocols.sealed import sealed_folder
from reports.claims import Status, claims_of
from reports.compare import compare, table
from reports.data import boards_csv
from reports.latex import latex
from reports.leaderboard import Leaderboard, build_leaderboards, placed
from reports.markdown import markdown
from reports.page import page
from reports.schedule import describe_training
from reports.terminal import _print_board
from tests.reports.synthetic import COHORT, PUBLISHED, record

RULE = "200 epochs, patience 20"
SAID = f"schedule cut: 9 to 11 epochs; its own rule: {RULE}"
REAL = {**COHORT, "phantom": False, "published_in": [PUBLISHED["source"]]}
HUB = [{"part": "encoder", "source": "org/uni", "revision": "abc", "sha256": None}]


def schedule(*runs: int, cut: bool = True, part: str = "network", rule: str = RULE) -> list[dict[str, Any]]:
    return [asdict(ScheduleRecord(part, "epochs", run, 11, rule, cut)) for run in runs]


CUT = {"schedule": schedule(11, 9, 10)}
WHOLE = {"schedule": schedule(140, 90, cut=False)}


def boards(**changes: Any) -> list[Leaderboard]:
    return build_leaderboards([record(model="short", **CUT), record(model="whole", **(WHOLE | changes))], seed=0)


@pytest.mark.parametrize(("told", "text"), [
    ([], ""),
    (schedule(140, 90, cut=False), ""),
    (schedule(11, 9, 10), SAID),
    (schedule(1100), f"schedule cut: 1,100 epochs; its own rule: {RULE}"),
    ([*schedule(200, cut=False, part="trunk"), *schedule(11)],
     f"schedule cut: network: 11 epochs; its own rule: {RULE}"),
    ([*schedule(12, part="trunk", rule="a"), *schedule(11, rule="b")],
     "schedule cut: trunk: 12 epochs; its own rule: a, network: 11 epochs; its own rule: b"),
])  # fmt: skip
def test_what_a_row_says(told: list[dict[str, Any]], text: str) -> None:
    found = describe_training([record(schedule=told)])
    assert (found.text, found.cut) == (text, bool(text))


def test_what_its_details_say() -> None:
    mixed = [*schedule(11), *schedule(9, cut=False), *schedule(30, cut=False, part="trunk", rule="30 epochs")]
    assert [(one.part, one.text) for one in describe_training([record(schedule=mixed)]).parts] == [
        ("network", f"9 to 11 epochs; its own rule: {RULE}, 2 trainings (schedule cut, 1 of them)"),
        ("trunk", "30 epochs; its own rule: 30 epochs"),
    ]


def test_training_seeds_of_one_row_are_taken_together() -> None:
    own = [record(seed=0, **WHOLE), record(seed=1, **CUT)]
    assert describe_training(own).text == f"schedule cut: 9 to 140 epochs; its own rule: {RULE}"


def test_every_form_says_it_of_that_row_alone() -> None:
    found = boards()
    console = Console(width=200, record=True, file=io.StringIO())
    _print_board(console, found[0], ())
    lines = {
        "markdown": markdown(found, ()).splitlines(),
        "latex": latex(found, ()).splitlines(),
        "terminal": console.export_text().splitlines(),
    }
    for form, text in lines.items():
        rows = {name: [line for line in text if name in line and "0.400" in line] for name in ("short", "whole")}
        assert [len(rows["short"]), len(rows["whole"])] == [1, 1], form
        assert "schedule cut: 9 to 11 epochs" in rows["short"][0], form
        assert "schedule cut" not in rows["whole"][0], form
    html = page(found, (), {})
    assert html.count(f'<span class="badge">schedule cut</span> 9 to 11 epochs; its own rule: {RULE}') == 1
    assert f'<abbr class="cut" title="{SAID}">cut</abbr>' in html
    assert "<dt>Trained: network</dt><dd>90 to 140 epochs" in html
    standing = placed(found[0], record(model="short")).splitlines()
    assert [line.endswith("schedule cut") for line in standing] == ["short" in line for line in standing]
    told = {row["model"]: row for row in csv.DictReader(io.StringIO(boards_csv(found)))}
    assert [told[name]["schedule_cut"] for name in ("short", "whole")] == ["True", "False"]


def test_a_board_without_a_cut_row_has_no_word_of_it() -> None:
    found = build_leaderboards([record(model="whole", **WHOLE), record(model="untold")], seed=0)
    assert "chedule cut" not in markdown(found, ()) + latex(found, ()) + boards_csv(found).replace("schedule_cut", "")
    assert 'class="badge">schedule cut' not in page(found, (), {})


def test_the_boards_warning_names_whom_it_is_about() -> None:
    (warning,) = [one for one in boards()[0].notices if one.text.startswith("Schedule cut")]
    assert warning.level == "warning"
    assert "the training of short, and not the rule" in warning.text
    assert "Such a row is no verdict" in warning.text


def test_a_smoke_test_is_called_one_and_no_result() -> None:
    found = build_leaderboards([record(model="short", most_steps=2, **CUT)], seed=0)
    (warning,) = [one for one in found[0].notices if "smoke test" in one.text]
    assert warning.text.startswith("A smoke test and no result: most_steps ended every training after 2 steps.")
    assert not [one for one in found[0].notices if one.text.startswith("Schedule cut")]


@pytest.mark.parametrize(("changes", "status"), [
    ({}, Status.COMPARABLE),
    (WHOLE, Status.COMPARABLE),
    (CUT, Status.SCHEDULE_CUT),
    (CUT | {"most_steps": 2}, Status.SMOKE_TEST),
    ({"most_steps": 2}, Status.SMOKE_TEST),
])  # fmt: skip
def test_a_published_number_is_not_held_against_a_cut_training(changes: dict[str, Any], status: Status) -> None:
    card = {"name": "uni", "title": "UNI", "kind": "model", "published": [PUBLISHED]}
    (claim,) = claims_of(record(card=card, cohort=REAL, weights=HUB, **changes))
    assert claim.statuses == (status,)


def by_patient(model: str, values: list[float], **changes: Any) -> ScoreRecord:
    return record(model=model, per_patient={f"p{i}": value for i, value in enumerate(values)}, **changes)


def test_a_comparison_with_a_cut_row_is_no_verdict() -> None:
    high, low = [0.3, 0.4, 0.5, 0.6, 0.7, 0.8], [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    plain = table(compare(by_patient("a", high, **WHOLE), by_patient("b", low), seed=0))
    assert plain.splitlines()[0].endswith("a is better")
    cut = table(compare(by_patient("a", high), by_patient("b", low, **CUT), seed=0))
    assert cut.splitlines()[0].endswith("a scores better here")
    assert f"  b: {SAID}; the difference is no verdict on the method" in cut.splitlines()
    smoke = table(compare(by_patient("a", high, most_steps=2), by_patient("b", low), seed=0))
    assert "  a: a smoke test and no result (most_steps 2)" in smoke.splitlines()


def test_a_record_keeps_it(tmp_path: Any) -> None:
    made = record(model="short", most_steps=3, **CUT)
    with sealed_folder(tmp_path / "cell", "record", {}) as folder:
        made.write(folder)
    read = ScoreRecord.read(tmp_path / "cell")
    assert (read.schedule, read.most_steps) == (CUT["schedule"], 3)
