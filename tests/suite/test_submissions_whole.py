"""What is handed in is checked whole, for every model and every board, before anything is fitted, scored or written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from protocols.errors import UserError
from protocols.readers.gse7390 import read_gse7390
from suite import score_command
from suite.engine import submit as submitting
from suite.engine.ask import run_ask
from suite.engine.questions import question_of
from suite.engine.read import run_read
from suite.engine.run import Run
from suite.engine.submit import handed_in, submit
from suite.places import CACHE, SUBMISSIONS
from tests.suite.engine_run import params, the_run, write_params

PROTOCOL = "tcga_survival"
HALVES = {"first": slice(None, None, 2), "second": slice(1, None, 2)}


def entry(name: str) -> dict[str, str]:
    return {"reader": "tidy", "root": ".", "outcome": f"{name}_outcome.csv", "genomic": f"{name}_genomic.csv"}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Two cohorts read and split, with their average: each second patient of a real one, and the others."""
    folder = tmp_path_factory.mktemp("checkout")
    whole = read_gse7390("gse7390", folder)
    for name, rows in HALVES.items():
        for table in ("outcome", "genomic"):
            getattr(whole, table).iloc[rows].to_csv(folder / f"{name}_{table}.csv")
    write_params(
        folder,
        params(
            protocols=[PROTOCOL],
            models=["kaplan_meier"],
            cohorts={"survival": {name: entry(name) for name in HALVES}},
            tasks={"survival": {"average": ["first", "second"]}},
        ),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run = the_run()
        run_read(run)
        run_ask(run)
        yield folder


@pytest.fixture
def run(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(checkout)
    return the_run()


def table(run: Run) -> pd.DataFrame:
    """Two models, each answering both boards whole; risks follow time, so both rank every pair right."""
    rows = []
    for board in run.boards:
        asked = question_of(run, run.protocols[PROTOCOL], board)
        store = asked.cohort.store
        for fold in asked.split.folds:
            rows += [(board.name, fold.name, store.patients[row], float(-store.time[row])) for row in fold.test]
    one = pd.DataFrame(rows, columns=["cohort", "fold", "patient", "risk"])
    return pd.concat([one.assign(model="alpha"), one.assign(model="omega")], ignore_index=True)


def earlier(run: Run) -> pd.DataFrame:
    """What one model handed in before, of one board."""
    return table(run).query("cohort == 'first' and model == 'alpha'")


def spoilt(run: Run) -> pd.DataFrame:
    """The very last row, of the last model's last board, is not finite."""
    found = table(run)
    found.loc[len(found) - 1, "risk"] = float("inf")
    return found


def handed(run: Run, given: pd.DataFrame) -> list[tuple[str, str]]:
    given.to_csv("given.csv", index=False)
    found = handed_in(run.config, run.tasks["survival"], Path("given.csv"), None, "")
    return [(one.model, one.board) for one in submit(run, run.protocols[PROTOCOL], found)]


def contents() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in SUBMISSIONS.rglob("*") if path.is_file()}


def test_a_fault_on_the_last_board_of_the_last_model_is_found_before_any_is_scored(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert handed(run, earlier(run)) == [("alpha", "first")]
    before = contents()
    assert before
    scored: list[object] = []
    monkeypatch.setattr(submitting, "fill_record", lambda *given: scored.append(given))
    with pytest.raises(UserError, match=r"given\.csv, omega, second, fold .*is not finite"):
        handed(run, spoilt(run))
    assert scored == []
    assert contents() == before
    assert not list((CACHE / "submissions").iterdir())


def test_a_fault_while_scoring_one_model_leaves_what_every_model_handed_in(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed(run, earlier(run))
    before = contents()
    fill = submitting.fill_record

    def fails_for_omega(*given: object) -> object:
        if getattr(given[2], "model", "") == "omega":
            raise OSError("the disk is full")
        return fill(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(submitting, "fill_record", fails_for_omega)
    with pytest.raises(OSError, match="disk is full"):
        handed(run, table(run).query("cohort == 'first'").assign(risk=0.0))
    assert contents() == before
    assert not list((CACHE / "submissions").iterdir())


def test_the_command_fits_no_control_for_a_table_that_is_wrong(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    fitted: list[object] = []
    monkeypatch.setattr(score_command, "add_controls", fitted.append)
    spoilt(run).to_csv("given.csv", index=False)
    with pytest.raises(UserError, match="is not finite"):
        list(score_command.score_predictions(run.config, PROTOCOL, Path("given.csv"), None, ""))
    assert fitted == []


def test_nor_reads_a_cohort_for_one_that_is_not_there(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[object] = []
    monkeypatch.setattr(score_command, "prepare", lambda *given: read.append(given))
    with pytest.raises(UserError, match="no such file"):
        list(score_command.score_predictions(run.config, PROTOCOL, Path("nowhere.csv"), None, ""))
    assert read == []
