"""The pipeline as its users run it: ``dvc repro`` in a working folder, from sources that are edited between runs.

The tests go on from one another, as a user does.
"""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from suite.processes import is_alive
from tests.suite.test_kills import nobody_left, quiet
from tests.suite.working_folder import COHORT, EXPRESSION, MODELS, WorkingFolder, copied_tree, phantom, ran

STAGES = {"plan", "read", "ask", "check", "predict", "score", "report"}
NEWCOMER = """
from pathlib import Path
import numpy as np
from protocols.contract import Card

class Newcomer:
    card = Card(name="newcomer", title="Newcomer", files=("my_weights.npy",))
    def fit(self, train):
        self.scale = float(np.load(Path(__file__).parent / "my_weights.npy"))
    def predict(self, test):
        return np.tile(test.xy_um[:, :1] * self.scale, (1, len(test.genes)))
"""
FAILING = """
from protocols.contract import Card

class Failing:
    card = Card(name="failing", title="Failing")
    def fit(self, train):
        raise ValueError("this network has no weights")
    def predict(self, test):
        pass
"""
SLEEPING = """
import os, time
from pathlib import Path
from protocols.contract import Card

class Sleeping:
    card = Card(name="sleeping", title="Sleeping")
    def fit(self, train):
        Path(__file__).with_name("asleep").write_text(str(os.getpid()))
        time.sleep(600)
    def predict(self, test):
        pass
"""
WITH_NEWCOMER = {"models": [*MODELS, "newcomer"], "adapters": {"newcomer": "newcomer.py:Newcomer"}}
OWN = f"{EXPRESSION}/{COHORT}/newcomer.seed0"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> WorkingFolder:
    place = tmp_path_factory.mktemp("checkout")
    made = WorkingFolder(place / "run", phantom(place / "data"), copied_tree(place / "tree"))
    made.with_dvc()
    assert made.repro() == STAGES
    assert {path.name for path in (made.folder / "runs/reports").iterdir()} >= {"index.html", "ranks.csv"}
    return made


def source(checkout: WorkingFolder, name: str) -> None:
    """An edit that changes a source's bytes and nothing that it does."""
    path = checkout.tree / name
    path.write_text(path.read_text(encoding="utf-8") + "\n# edited\n", encoding="utf-8")


def moved(before: dict[str, int], after: dict[str, int]) -> set[str]:
    return {name for name, when in after.items() if before.get(name) != when}


def test_nothing_changed_nothing_runs(checkout: WorkingFolder) -> None:
    start = time.monotonic()
    assert checkout.repro() == {"plan"}
    assert time.monotonic() - start < 20  # 4 s on an idle machine; a loaded one must not fail the test


def test_a_new_model_fits_and_scores_its_own_cells_alone(checkout: WorkingFolder) -> None:
    answers, scores = checkout.cells("answers"), checkout.cells("scores")
    before = checkout.bytes_of("cohorts", "splits", "audits", "predictions", "scores")
    np.save(checkout.folder / "my_weights.npy", np.float64(1.0))
    (checkout.folder / "newcomer.py").write_text(NEWCOMER)
    checkout.params(**WITH_NEWCOMER)
    assert checkout.repro() == {"plan", "check", "predict", "score", "report"}
    assert moved(answers, checkout.cells("answers")) == moved(scores, checkout.cells("scores")) == {OWN}
    after = checkout.bytes_of("cohorts", "splits", "audits", "predictions", "scores")
    assert {name: after[name] for name in before} == before


def test_the_bytes_of_a_declared_file_are_a_part_of_its_models_cells_alone(checkout: WorkingFolder) -> None:
    answers, before = checkout.cells("answers"), checkout.bytes_of("predictions")
    np.save(checkout.folder / "my_weights.npy", np.float64(2.0))
    assert checkout.repro("predict") == {"plan", "predict"}
    assert moved(answers, checkout.cells("answers")) == {OWN}
    changed = {name for name, held in checkout.bytes_of("predictions").items() if before[name] != held}
    assert any(name.endswith(".parquet") for name in changed)
    assert {Path(name).parts[3] for name in changed} == {"newcomer"}


def test_an_edited_metric_scores_its_own_task_and_fits_nothing(checkout: WorkingFolder) -> None:
    answers, scores = checkout.cells("answers"), checkout.cells("scores")
    source(checkout, "protocols/metrics/correlation.py")
    # Contract tests say how well a model does on made-up data, by the same metric.
    assert checkout.repro() == {"plan", "check", "score", "report"}
    assert checkout.cells("answers") == answers
    again = moved(scores, checkout.cells("scores"))
    assert again == {name for name in scores if name.startswith(EXPRESSION)}


def test_an_edited_report_runs_the_report_alone(checkout: WorkingFolder) -> None:
    source(checkout, "reports/markdown.py")
    assert checkout.repro() == {"plan", "report"}


def test_a_torn_lock_loses_no_finished_work(checkout: WorkingFolder) -> None:
    """One that ends with a stage is read, others are refused; without any, everything is taken from what is kept."""
    lock = checkout.folder / "dvc.lock"
    whole, results = lock.read_bytes(), checkout.bytes_of("predictions", "scores")
    answers, scores = checkout.cells("answers"), checkout.cells("scores")
    assert len(whole) < 4096  # DVC writes so much at once: a kill leaves the lock whole, or empty (see lock_guard)
    lock.write_bytes(whole[: whole.index(b"  predict:")])
    assert checkout.repro("predict") == {"plan", "predict"}
    nobody_left(str(checkout.folder))  # a guard that is still there would mend the empty lock
    for length in (0, whole.index(b"  predict:") + 5):
        lock.write_bytes(whole[:length])
        told = checkout.dvc("repro", "score", status=255)
        assert "dvc.lock" in told
        assert not ran(told)
    lock.unlink()
    assert checkout.repro("score") == {"plan", "read", "ask", "predict", "score"}
    assert (checkout.cells("answers"), checkout.cells("scores")) == (answers, scores)
    assert checkout.bytes_of("predictions", "scores") == results


def test_a_failing_model_is_named_and_what_was_finished_stays(checkout: WorkingFolder) -> None:
    """With one worker the model from outside comes last."""
    (checkout.folder / "failing.py").write_text(FAILING)
    adapters = {**WITH_NEWCOMER["adapters"], "failing": "failing.py:Failing"}
    checkout.params(models=[*MODELS, "newcomer", "failing", "coordinates"], adapters=adapters, workers=1)
    answers = checkout.cells("answers")
    told = checkout.dvc("repro", status=255)
    (line,) = [line for line in told.splitlines() if line.startswith("slide2omics: ")]
    assert f"{EXPRESSION}, {COHORT}: failing, job " in line
    assert f"({checkout.folder / 'failing.py'}:7): ValueError: this network has no weights" in line
    assert "failed to reproduce 'predict'" in told
    assert moved(answers, checkout.cells("answers")) == {f"{EXPRESSION}/{COHORT}/coordinates.seed0"}
    assert (checkout.folder / "runs/predictions" / EXPRESSION / COHORT / "coordinates/seed0/seal.json").is_file()


def test_a_killed_dvc_leaves_no_stage_no_worker_and_no_empty_lock(checkout: WorkingFolder) -> None:
    """DVC is killed while a model fits, and its lock was just being written anew."""
    (checkout.folder / "sleeping.py").write_text(SLEEPING)
    checkout.params(models=[*MODELS, "sleeping"], adapters={"sleeping": "sleeping.py:Sleeping"})
    lock = checkout.folder / "dvc.lock"
    whole, mark, asleep = lock.read_bytes(), str(checkout.folder), checkout.folder / "asleep"
    process = checkout.start(sys.executable, "-m", "dvc", "repro", mark=mark, **quiet())
    until(asleep.exists)
    lock.write_bytes(b"")
    process.send_signal(signal.SIGKILL)
    process.wait()
    nobody_left(mark)
    until(lambda: lock.read_bytes() == whole)
    until(lambda: not is_alive(int(asleep.read_text())))


def until(true: object, seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.05)
