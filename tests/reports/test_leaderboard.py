from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from protocols.errors import UserError
from protocols.records import Interval
from reports.cells import find_cells, load_records
from reports.describe import describe_weights
from reports.leaderboard import build_leaderboards
from reports.tables import tie_lines
from tests.reports import synthetic
from tests.reports.synthetic import record, skipped


def _warnings(*records: object) -> str:
    (board,) = build_leaderboards(list(records), seed=0)  # type: ignore[arg-type]
    return " ".join(notice.text for notice in board.notices if notice.level == "warning")


def test_ranks_ties_references_and_skipped_in_order() -> None:
    patients = [f"p{i}" for i in range(10)]
    best = {p: 0.5 + 0.01 * i for i, p in enumerate(patients)}
    # The same mean difference with both signs: the paired interval holds zero.
    tied = {p: v + (0.02 if i % 2 else -0.02) for i, (p, v) in enumerate(best.items())}
    worse = {p: v - 0.2 for p, v in best.items()}
    (board,) = build_leaderboards(
        [
            record(model="worse", per_patient=worse),
            record(model="best", per_patient=best),
            record(model="tied", per_patient=tied),
            record(model="mean", per_patient=dict.fromkeys(patients, 0.0), kind="control"),
            record(model="oracle", per_patient=dict.fromkeys(patients, 0.9), kind="oracle"),
            skipped("intra_patient", "aside", "no counts"),
        ],
        seed=0,
    )
    assert [(row.model, row.rank, row.group) for row in board.rows] == [
        ("best", 1, "ranked"),
        ("tied", 1, "ranked"),
        ("worse", 3, "ranked"),
        ("oracle", None, "reference"),
        ("mean", None, "reference"),
        ("aside", None, "skipped"),
    ]
    assert board.ties == ((1, ("best", "tied")),)
    assert "Rank 1 is shared by best and tied" in tie_lines(board)[0]
    assert board.rows[-1].reason == "no counts"


def test_model_without_a_number_is_shown_but_not_ranked() -> None:
    (board,) = build_leaderboards([record(model="a"), record(model="b", per_patient={})], seed=0)
    row = board.rows[-1]
    assert (row.model, row.group, row.rank) == ("b", "unranked", None)
    assert "undefined" in row.reason


def test_all_skipped_still_makes_a_leaderboard() -> None:
    (board,) = build_leaderboards([skipped("intra_patient", "a", "why")], seed=0)
    assert [row.group for row in board.rows] == ["skipped"]
    assert "nothing to rank" in " ".join(n.text for n in board.notices)


def test_protocols_come_in_the_order_of_difficulty() -> None:
    boards = build_leaderboards(
        [record(name) for name in ("another", "cross_cancer", "inter_patient", "intra_patient")], seed=0
    )
    assert [board.protocol for board in boards] == ["intra_patient", "inter_patient", "cross_cancer", "another"]


@pytest.mark.parametrize(("phantom", "source", "said"), [
    (True, "random", "say nothing about the published models"),
    (True, "hub", "phantom"),
    (False, "random", "random weights"),
    (False, "hub", ""),
])  # fmt: skip
def test_banner_says_what_ranks_do_not_say(phantom: bool, source: str, said: str) -> None:
    weights = [{"part": "encoder", "source": source, "revision": "abc" if source == "hub" else None, "sha256": None}]
    cohort = {**synthetic.COHORT, "phantom": phantom}
    six = {f"p{i}": 0.1 * i for i in range(6)}
    text = _warnings(record(per_patient=six, weights=weights, cohort=cohort))
    assert said in text
    assert bool(text) == bool(said)


def test_few_patients_and_unknown_patients_are_warned_of() -> None:
    assert "Only 2 patients" in _warnings(record())
    assert "fewer than 6 can tell no two models apart" in _warnings(record(per_patient=dict.fromkeys("abcde", 0.1)))
    assert "Only" not in _warnings(record(per_patient=dict.fromkeys("abcdef", 0.1)))
    unknown = {**synthetic.COHORT, "n_unknown_patients": 2}
    assert "2 slides have no known patient" in _warnings(record(cohort=unknown))


def test_different_splits_are_refused_but_skipped_cells_may_lack_hashes() -> None:
    other = record(model="b", hashes={"cohort": "c0ffee", "split": "0ther"})
    with pytest.raises(UserError, match=r"different split"):
        build_leaderboards([record(model="a"), other], seed=0)
    build_leaderboards([record(model="a"), skipped("intra_patient", "b", "why")], seed=0)


def test_two_records_of_one_cell_are_refused(tmp_path: Path) -> None:
    cell = synthetic.sealed(record(), tmp_path / "intra_patient" / "phantom" / "uni" / "seed0")
    synthetic.sealed(record(), tmp_path / "intra_patient" / "phantom" / "copy" / "seed0")
    with pytest.raises(UserError, match="second record of intra_patient phantom x uni, seed 0"):
        load_records(tmp_path)
    assert [r.model for r in load_records([cell])] == ["uni"]


def test_an_altered_record_is_refused(tmp_path: Path) -> None:
    cell = synthetic.sealed(record(), tmp_path / "cell")
    text = (cell / "record.json").read_text()
    (cell / "record.json").write_text(text.replace('"p2": 0.5', '"p2": 0.9'))
    with pytest.raises(UserError, match=r"record\.json was altered.*score the predictions again"):
        load_records([cell])


def test_a_record_that_is_being_written_is_no_cell(tmp_path: Path) -> None:
    """A kill leaves the folder that was being filled: a report shows what is whole."""
    synthetic.write([record()], tmp_path)
    part = tmp_path / "intra_patient" / "phantom" / "other" / ".seed0.123.part"
    part.mkdir(parents=True)
    (part / "record.json").write_text("{")
    assert [r.model for r in load_records(tmp_path)] == ["uni"]


def test_without_records_there_are_no_cells(tmp_path: Path) -> None:
    assert find_cells(tmp_path) == []
    assert find_cells(tmp_path / "absent") == []
    assert build_leaderboards(load_records(tmp_path), seed=0) == []


def test_weights_state() -> None:
    random = {"part": "a", "source": "random", "revision": None, "sha256": None}
    hub = {"part": "b", "source": "org/model", "revision": "0123456789abcdef", "sha256": "f" * 64}
    file = {"part": "c", "source": "/home/someone/secret/model.bin", "revision": None, "sha256": "e" * 64}
    none = {"part": "d", "source": "none", "revision": None, "sha256": None}
    assert describe_weights([random]).state == "random"
    assert describe_weights([random, hub]).state == "partly random"
    assert describe_weights([hub, none]).state == "hub"
    assert describe_weights([none]).state == "none"
    assert describe_weights([file, hub]).state == "file and hub"
    assert describe_weights([]).state == "unknown"
    assert describe_weights([], kind="control").state == "none"
    assert describe_weights([hub]).parts[0].text == f"org/model @ 0123456789ab (sha256 {'f' * 12})"
    assert describe_weights([file]).parts[0].text == f"model.bin (sha256 {'e' * 12})", "no folder of anyone's machine"
    assert describe_weights([{**random, "source": "predictions only"}]).state == "predictions only"


def test_timings_are_read_and_absent_ones_are_none(tmp_path: Path) -> None:
    folder = tmp_path / "intra_patient" / "phantom"
    folder.mkdir(parents=True)
    timing = {"seconds": 90, "peak_memory_mib": 2048, "device": "H", "units_per_second": 3.5}
    (folder / "a.json").write_text(json.dumps(timing))
    (board,) = build_leaderboards([record(model="a"), record(model="b")], seed=0, timings=tmp_path)
    costs = {row.model: row.cost for row in board.rows}
    assert (costs["a"].seconds, costs["a"].peak_memory_mib, costs["a"].device) == (90, 2048, "H")
    assert costs["a"].units_per_second == 3.5
    assert costs["b"].seconds is None
    (folder / "b.json").write_text("[")
    with pytest.raises(UserError, match="unreadable timing"):
        build_leaderboards([record(model="b")], seed=0, timings=tmp_path)


def test_handed_in_predictions_do_not_count_as_another_profile() -> None:
    five = {f"p{i}": 0.1 * i for i in range(5)}
    handed_in = replace(record(model="a", per_patient=five), profile="predictions only")
    (board,) = build_leaderboards([handed_in, record(model="b", per_patient=five)], seed=0)
    assert board.profile == "mini"
    assert not any("profile" in notice.text for notice in board.notices)
    assert "full, mini" in _warnings(handed_in, record(model="b"), replace(record(model="c"), profile="full"))


def test_interval_comes_from_the_record() -> None:
    (board,) = build_leaderboards([record(headline=Interval(0.4, 0.1, 0.7, 2))], seed=0)
    assert board.rows[0].headline == Interval(0.4, 0.1, 0.7, 2)
