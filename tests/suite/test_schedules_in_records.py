"""What a model says of its training reaches manifest and record; a cap of the run's file reaches the model."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from protocols.contract import HasSchedule, ScheduleRecord
from protocols.errors import UserError
from protocols.manifest import read_manifest
from protocols.records import ScoreRecord
from protocols.task import Fitted
from suite.engine.ask import run_ask
from suite.engine.predict import run_predict
from suite.engine.read import run_read
from suite.places import PREDICTIONS, SCORES
from tests.suite.engine_run import params, run_all, the_run, write_params

TOLD = """
from dataclasses import replace

from baselines.survival.kaplan_meier import KaplanMeier
from protocols.contract import ScheduleRecord


class Told(KaplanMeier):
    card = replace(KaplanMeier.card, name="told", title="Told", kind="model")

    def fit(self, train):
        super().fit(train)
        steps = train.settings.at_most(7 + int(str(train.patient[0])[-1]) % 3)
        self._told = ScheduleRecord("network", "steps", steps, 9, "5,000 steps", steps == 9)

    def schedule(self):
        return (self._told,)
"""
CELL = Path("tcga_survival/gse7390/told/seed0")


def settings(**changes: Any) -> dict[str, Any]:
    return params(
        protocols=["tcga_survival"],
        models=["told"],
        adapters={"told": "told.py:Told"},
        cohorts={"survival": {"gse7390": {"reader": "gse7390"}}},
        **{"tasks": {"survival": {"folds": 2, "average": ["gse7390"]}}} | changes,
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "told.py").write_text(TOLD, encoding="utf-8")
    write_params(tmp_path, settings())
    return tmp_path


def record(board: str = "gse7390") -> ScoreRecord:
    return ScoreRecord.read(SCORES / "tcga_survival" / board / "told" / "seed0")


def test_from_the_model_to_the_board_and_kept(folder: Path) -> None:
    run_all()
    runs = [one["run"] for one in record().schedule]
    assert len(runs) == 2  # a training a fold
    assert record().schedule == [
        {"part": "network", "unit": "steps", "run": run, "cap": 9, "rule": "5,000 steps", "cut": run == 9}
        for run in runs
    ]
    assert record("average").schedule == record().schedule
    assert [one.run for one in read_manifest(PREDICTIONS / CELL)[0].schedule] == runs
    assert record().most_steps == 0
    shutil.rmtree(PREDICTIONS)
    run_predict(the_run())
    assert [one.run for one in read_manifest(PREDICTIONS / CELL)[0].schedule] == runs  # kept answers keep it


def test_a_cap_of_the_run_reaches_the_model_and_makes_it_a_smoke_test(folder: Path) -> None:
    write_params(folder, settings(most_steps=2, tasks={"survival": {"folds": 2, "average": []}}))
    run = the_run()
    for stage in (run_read, run_ask, run_predict):
        stage(run)
    told, _ = read_manifest(PREDICTIONS / CELL)
    assert [(one.run, one.cut) for one in told.schedule] == 2 * [(2, True)]
    assert told.most_steps == 2


@pytest.mark.parametrize("most_steps", [0, -1, "some"])
def test_a_cap_is_a_number_of_steps_or_nothing(folder: Path, most_steps: object) -> None:
    write_params(folder, settings(most_steps=most_steps))
    with pytest.raises(UserError, match="most_steps"):
        the_run()


def test_a_schedule_that_is_none_is_refused_in_one_line() -> None:
    class Wrong:
        def schedule(self) -> tuple[ScheduleRecord, ...]:
            return ({"run": 3},)  # type: ignore[return-value]

    assert isinstance(Wrong(), HasSchedule)
    with pytest.raises(UserError, match=r"Wrong: schedule\(\) returned dict"):
        Fitted.of(Wrong(), 1)
