"""Jobs on processes: the same answers however many, errors that say where, and no process that is left behind."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from protocols.errors import UserError
from suite.workers import Job, peak_memory_mib, run_jobs
from tests.suite import worker_jobs

ROOT = Path(__file__).resolve().parents[2]


def wait_until(true: Callable[[], bool], seconds: float = 5.0) -> bool:
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def alive(pid: int) -> bool:
    """Whether a process still runs (one that nobody has collected yet does not)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rsplit(")", 1)[1].split()[0] not in "ZX" if Path("/proc/self").exists() else True
    except FileNotFoundError:
        return False


def pids_in(folder: Path) -> list[int]:
    return [int(path.name.rsplit("-", 1)[-1]) for path in folder.iterdir()]


# Errors travel


def test_a_user_error_survives_pickling() -> None:
    error = UserError("what", where=Path("a/b"), expected="this", remedy="do that")
    error.add_note("seen")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is UserError
    assert str(copy) == str(error) == "a/b: what; expected this; do that"
    assert (copy.what, copy.where, copy.expected, copy.remedy) == ("what", "a/b", "this", "do that")
    assert copy.__notes__ == ["seen"]


@pytest.mark.parametrize("alone", [False, True])
def test_a_user_error_of_a_worker_is_raised_as_itself(alone: bool) -> None:
    with pytest.raises(UserError) as caught:
        list(run_jobs(worker_jobs.user_error, [Job(1, alone=alone), Job(2, alone=alone)], 2))
    assert str(caught.value) == "a/file: bad\tthing; expected a good one; mend it"
    assert caught.value.remedy == "mend it"


def test_another_error_shows_the_line_that_raised_it() -> None:
    with pytest.raises(ValueError, match="invalid literal for int") as caught:
        list(run_jobs(worker_jobs.value_error, [Job(41), Job(42)], 2))
    (note,) = caught.value.__notes__
    lines = note.splitlines()
    assert lines[0] in ("In the process that worked on 41:", "In the process that worked on 42:")
    assert 'return int(f"not {number}")  # the line that the traceback must show' in note
    assert "worker_process.py" not in note  # the frames of the machinery are of no interest
    assert len(lines) < 10


def test_an_error_that_cannot_be_pickled_is_still_told() -> None:
    with pytest.raises(RuntimeError, match=r"^TwoParts: no pickle 1\n") as caught:
        list(run_jobs(worker_jobs.two_parts, [Job(1, alone=True)], 1))
    assert 'raise TwoParts("no pickle", number)' in caught.value.__notes__[0]


def test_an_answer_that_cannot_be_pickled_is_the_jobs_error() -> None:
    with pytest.raises(Exception, match="lambda") as caught:
        list(run_jobs(worker_jobs.unpicklable, [Job(7, alone=True)], 1))
    assert "worked on 7" in caught.value.__notes__[0]


@pytest.mark.parametrize("alone", [False, True])
def test_leaving_the_program_is_an_error_not_a_finished_run(alone: bool) -> None:
    with pytest.raises(UserError, match=r"^5: sys.exit\(0\) was called; expected an answer or an error; "):
        list(run_jobs(worker_jobs.leaves, [Job(5, alone=alone)], 1))


@pytest.mark.parametrize(
    ("how", "said", "remedy"),
    [
        ("exit", "ended with status 9", "code must not end its process"),
        ("fork", "ended with status 9", "code must not end its process"),
        ("SIGKILL", "was killed by SIGKILL", "if memory ran out, set fewer `workers` in params.yaml"),
        ("SIGSEGV", "was killed by SIGSEGV", "if memory ran out, set fewer `workers` in params.yaml"),
    ],
)
def test_a_worker_that_dies_is_named_with_its_job(how: str, said: str, remedy: str) -> None:
    start = time.monotonic()
    with pytest.raises(UserError) as caught:
        list(run_jobs(worker_jobs.dies, [Job(how, alone=True)], 2))
    assert str(caught.value).startswith(f"{how}: a worker process {said}; expected ")
    assert remedy in caught.value.remedy
    if how == "fork":
        assert time.monotonic() - start < 7  # noticed though the link never ended


def test_finished_answers_come_before_the_error_and_the_others_are_ended(tmp_path: Path) -> None:
    jobs = [Job((kind, str(tmp_path)), weight) for kind, weight in [("good", 3.0), ("bad", 2.0), ("slow", 1.0)]]
    jobs.append(Job(("good", str(tmp_path)), 0.0))  # never handed out
    answers = []
    start = time.monotonic()
    with pytest.raises(ValueError, match="the bad one"):  # noqa: PT012 - the loop is what raises
        for item, answer in run_jobs(worker_jobs.fails_after_another, jobs, 2):
            answers.append((item[0], answer))
    assert answers == [("good", "good")]
    assert time.monotonic() - start < 30
    assert sorted(path.name.split("-")[0] for path in tmp_path.iterdir()) == ["bad", "good", "slow"]
    assert wait_until(lambda: not any(alive(pid) for pid in pids_in(tmp_path)))


def test_answers_that_are_there_when_a_job_has_failed_are_yielded_first(tmp_path: Path) -> None:
    """One job fails and one ends while the reader is at the first answer, another while it is at the second."""
    jobs = [Job((kind, str(tmp_path))) for kind in ("first", "bad", "second", "third")]
    answers = []
    with pytest.raises(ValueError, match="the bad one"):  # noqa: PT012 - the loop is what raises
        for (kind, _), _ in run_jobs(worker_jobs.ends_in_turn, jobs, 4):
            answers.append(kind)
            (tmp_path / f"read-{kind}").touch()
            ends_meanwhile = {"first": "second", "second": "third", "third": "third"}[kind]
            assert wait_until((tmp_path / ends_meanwhile).exists, 30)
            time.sleep(0.5)
    assert answers == ["first", "second", "third"]
    assert not multiprocessing.active_children()


# Where and in which order


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_answers_do_not_depend_on_how_many(workers: int, alone: bool) -> None:
    jobs = [Job(number, weight=number % 3, alone=alone and number % 2 == 0) for number in range(5)]
    found = {item: answer for item, (answer, _) in run_jobs(worker_jobs.squared, jobs, workers)}
    assert found == {0: 0, 1: 1, 2: 4, 3: 9, 4: 16}
    assert not multiprocessing.active_children()


def test_no_jobs_no_answers() -> None:
    assert list(run_jobs(worker_jobs.squared, [], 2)) == []


def test_one_worker_and_one_job_need_no_process() -> None:
    here = os.getpid()
    assert {pid for _, (_, pid) in run_jobs(worker_jobs.squared, [Job(1), Job(2)], 1)} == {here}
    assert {pid for _, (_, pid) in run_jobs(worker_jobs.squared, [Job(1)], 4)} == {here}


def test_a_worker_process_is_kept_for_many_jobs() -> None:
    pids = [pid for _, (_, pid) in run_jobs(worker_jobs.squared, [Job(number) for number in range(12)], 2)]
    assert len(pids) == 12
    assert 1 <= len(set(pids)) <= 2
    assert os.getpid() not in pids


@pytest.mark.parametrize("workers", [1, 2])
def test_jobs_alone_share_nothing(workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_jobs, "STATE", [])
    jobs = [Job(number, weight=number, alone=number in (2, 3)) for number in range(6)]
    found = dict(run_jobs(worker_jobs.remember, jobs, workers))
    alone = {2, 3}
    assert all(found[number][1] == () for number in alone)
    pids = {number: pid for number, (pid, _) in found.items()}
    assert pids[2] != pids[3]
    assert not {pids[number] for number in alone} & {pids[number] for number in set(pids) - alone}
    assert all(not alone & set(before) for _, before in found.values())
    if workers == 1:
        assert found[0][1] == (5, 4, 1)  # here, one after the other, the heaviest first


@pytest.mark.parametrize("alone", [False, True])
def test_heavier_jobs_start_first(tmp_path: Path, alone: bool) -> None:
    weights = {"b": 2.0, "d": 0.5, "a": 9.0, "c": 1.0, "c2": 1.0}
    jobs = [Job((name, str(tmp_path)), weight, alone) for name, weight in weights.items()]
    list(run_jobs(worker_jobs.starts_in_order, jobs, 1))
    assert [path.name.split("-")[1] for path in sorted(tmp_path.iterdir())] == ["a", "b", "c", "c2", "d"]


def test_at_most_so_many_at_once_with_those_alone(tmp_path: Path) -> None:
    jobs = [Job(str(tmp_path), weight=number // 2, alone=number % 3 == 0) for number in range(9)]
    assert max(most for _, most in run_jobs(worker_jobs.how_many, jobs, 2)) <= 2


def test_peak_memory_is_in_mebibytes() -> None:
    assert 10 < peak_memory_mib() < 100_000


# No process is left behind


def test_a_reader_that_stops_ends_the_workers(tmp_path: Path) -> None:
    jobs = [Job(("slow", str(tmp_path)), 1.0), Job(("good", str(tmp_path)), 2.0)]
    answers = run_jobs(worker_jobs.fails_after_another, jobs, 2)
    assert next(answers) == (("good", str(tmp_path)), "good")
    assert wait_until(lambda: any(tmp_path.glob("slow-*")), 30)
    answers.close()  # type: ignore[attr-defined]
    assert wait_until(lambda: not any(alive(pid) for pid in pids_in(tmp_path)))


MAIN = "keep_busy(sys.argv[1], sys.argv[2])"
THREAD = "threading.Thread(target=keep_busy, args=sys.argv[1:]).start()"
"""Not from the main thread, the kernel is not asked to kill: what ends the workers is their own watching."""


@pytest.mark.parametrize(
    ("number", "work", "call"),
    [
        (signal.SIGKILL, "sleep", MAIN),
        (signal.SIGKILL, "sleep", THREAD),
        pytest.param(
            signal.SIGKILL, "compute", MAIN, marks=pytest.mark.skipif(sys.platform != "linux", reason="prctl")
        ),
        (signal.SIGTERM, "sleep", MAIN),
        (signal.SIGINT, "sleep", MAIN),
    ],
)
def test_no_worker_outlives_its_parent(tmp_path: Path, number: signal.Signals, work: str, call: str) -> None:
    pids_folder = tmp_path / "pids"
    pids_folder.mkdir()
    code = f"import sys, threading; from tests.suite.worker_jobs import keep_busy; {call}"
    with (tmp_path / "stderr").open("w") as stderr:
        parent = subprocess.Popen(
            [sys.executable, "-c", code, str(pids_folder), work], cwd=ROOT, stderr=stderr, start_new_session=True
        )
    try:
        assert wait_until(lambda: len(pids_in(pids_folder)) == 3 or parent.poll() is not None, 60)
        pids = pids_in(pids_folder)
        assert len(pids) == 3, (tmp_path / "stderr").read_text()
        assert all(alive(pid) for pid in pids)
        if number == signal.SIGINT:
            os.killpg(parent.pid, number)  # as a terminal does
        else:
            parent.send_signal(number)
        assert parent.wait(10) == -number
        assert wait_until(lambda: not any(alive(pid) for pid in pids))
        said = (tmp_path / "stderr").read_text()
        assert said.count("Traceback") == (1 if number == signal.SIGINT else 0), said
    finally:
        if any(alive(pid) for pid in [parent.pid, *pids_in(pids_folder)]):
            os.killpg(parent.pid, signal.SIGKILL)
        parent.wait()


def test_a_worker_is_deaf_to_ctrl_c_from_its_start(tmp_path: Path) -> None:
    """The terminal sends it to the whole group, and only the parent acts on it: no worker prints a traceback."""
    script = tmp_path / "main.py"
    script.write_text(
        "import os, sys, time\nfrom pathlib import Path\n"
        "if __name__ == '__mp_main__':\n"  # what a worker imports before it comes to its own code
        "    Path(sys.argv[1], str(os.getpid())).touch()\n"
        "    time.sleep(1)\n"
        "else:\n"
        "    from suite.workers import Job, run_jobs\n"
        "    from tests.suite.worker_jobs import squared\n"
        "    print(sum(square for _, (square, _) in run_jobs(squared, [Job(3), Job(4)], 2)))\n"
    )
    pids_folder = tmp_path / "pids"
    pids_folder.mkdir()
    parent = subprocess.Popen(
        [sys.executable, str(script), str(pids_folder)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert wait_until(lambda: len(pids_in(pids_folder)) == 2, 60)
    for pid in pids_in(pids_folder):
        os.kill(pid, signal.SIGINT)
    assert parent.communicate(timeout=30) == ("25\n", "")
    assert parent.returncode == 0


def test_an_error_of_the_reader_ends_the_workers_at_exit(tmp_path: Path) -> None:
    """The generator is alive then, held by the traceback: a plain exit would wait for its processes."""
    code = (
        "import sys\n"
        "from suite.workers import Job, run_jobs\n"
        "from tests.suite.worker_jobs import fails_after_another\n"
        "kept = run_jobs(fails_after_another, [Job(('good', sys.argv[1]), 2.0), Job(('slow', sys.argv[1]))], 2)\n"
        "next(kept)\n"
        "raise ValueError('of the reader')\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=50
    )
    assert result.returncode == 1
    assert result.stderr.strip().endswith("ValueError: of the reader")
    assert wait_until(lambda: not any(alive(pid) for pid in pids_in(tmp_path)))
