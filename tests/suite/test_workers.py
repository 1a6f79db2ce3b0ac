"""Workers: errors arrive as they were raised, and no process outlives its parent, however it ends."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from protocols.errors import UserError
from suite.workers import Job, run_jobs
from tests.suite import work_for_workers as work

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("workers", [1, 2])
def test_every_item_is_answered_once(workers: int) -> None:
    answers = dict(run_jobs(work.double, [Job(n, weight=n) for n in range(7)], workers))
    assert {item: answer for item, (answer, _) in answers.items()} == {n: 2 * n for n in range(7)}
    pids = {pid for _, pid in answers.values()}
    assert (os.getpid() in pids) == (workers == 1)
    assert len(pids) <= workers


@pytest.mark.parametrize("workers", [1, 2])
def test_jobs_alone_share_a_process_with_nobody(workers: int) -> None:
    answers = dict(run_jobs(work.leaves_a_mark, [Job(name, alone=True) for name in "abc"], workers))
    assert len({pid for _, pid in answers.values()} - {os.getpid()}) == 3
    assert not any(seen for seen, _ in answers.values())


def test_a_worker_imports_what_its_work_imports_and_not_its_parents_main() -> None:
    ((_, names),) = run_jobs(work.modules, [Job("x", alone=True)], 2)
    ours = ["suite", "suite.processes", "suite.workers"]
    assert names == [*ours, "tests", "tests.suite", "tests.suite.work_for_workers"]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_users_mistake_is_the_same_line(workers: int) -> None:
    with pytest.raises(UserError, match=r"^here: no file; expected a file; bring one$"):
        list(run_jobs(work.fails, [Job("user", alone=True), Job("fine"), Job("fine")], workers))


def test_a_defect_keeps_its_line() -> None:
    with pytest.raises(ValueError, match="the real line") as caught:
        list(run_jobs(work.fails, [Job("value"), Job("fine")], 2))
    assert "work_for_workers.py" in "".join(caught.value.__notes__)


@pytest.mark.parametrize(("item", "how"), [("exit", "with status 9"), ("killed", "by signal SIGKILL")])
def test_a_worker_that_dies_names_its_job(item: str, how: str) -> None:
    with pytest.raises(UserError, match=f"^{item}: its process ended {how}"):
        list(run_jobs(work.fails, [Job(item), Job("fine")], 2))


def test_an_error_survives_pickling() -> None:
    error = UserError("what", where="where", expected="expected", remedy="remedy")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.what, again.where) == (str(error), "what", "where")


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_worker_outlives_its_parent(tmp_path: Path, ending: signal.Signals) -> None:
    marks = [tmp_path / "one", tmp_path / "two"]
    code = (
        "import signal\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a test run in the background ignores it
        "from suite.workers import Job, run_jobs\nfrom tests.suite import work_for_workers as work\n"
        f"list(run_jobs(work.sleeps, [Job({str(marks[0])!r}), Job({str(marks[1])!r})], 2))"
    )
    path = os.pathsep.join([str(ROOT), *sys.path])
    parent = subprocess.Popen(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": path}, stderr=subprocess.DEVNULL
    )
    _until(lambda: all(mark.exists() and mark.read_text() for mark in marks), 60)
    workers = [int(mark.read_text()) for mark in marks]
    parent.send_signal(ending)
    parent.wait(timeout=30)
    _until(lambda: not any(_alive(pid) for pid in workers), 10)


def _until(true: object, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not true():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.05)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
