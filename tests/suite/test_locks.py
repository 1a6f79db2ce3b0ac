"""Two processes that want the same thing: one makes it, the other waits; a dead one holds nothing."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from suite.engine.locks import lock_file, locked

ROOT = Path(__file__).resolve().parents[2]
CODE = (
    "import sys; from tests.suite.worker_jobs import make_once; make_once(sys.argv[1], sys.argv[2], float(sys.argv[3]))"
)


def start(folder: Path, name: str, seconds: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CODE, str(folder), name, str(seconds)]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)


def wait_for(path: Path) -> None:
    end = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < end, path
        time.sleep(0.02)


def test_two_at_once_make_it_once(tmp_path: Path) -> None:
    both = [start(tmp_path, name, 0.5) for name in ("one", "two")]
    said = [process.communicate(timeout=60)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert len(list(tmp_path.glob("made-*"))) == 1
    assert len(list(tmp_path.glob("found-*"))) == 1


def test_who_waits_says_so_once_and_goes_on_when_the_holder_is_killed(tmp_path: Path) -> None:
    holder = start(tmp_path, "holder", 600)
    wait_for(tmp_path / "holds-holder")
    waiter = start(tmp_path, "waiter", 0)
    assert waiter.stderr is not None
    said = waiter.stderr.readline()  # blocks until it speaks, which is after its two quiet seconds
    assert said == f"waiting for another process that makes {tmp_path / 'deep' / 'cell'}\n"
    assert not (tmp_path / "holds-waiter").exists()
    holder.kill()
    holder.communicate()
    _, rest = waiter.communicate(timeout=60)
    assert (waiter.returncode, rest) == (0, "")
    assert (tmp_path / "made-waiter").exists()


def test_a_free_lock_is_quick_and_quiet_and_given_back(tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    target = tmp_path / "new" / "cell"
    begin = time.monotonic()
    for _ in range(3):
        with locked(target):
            assert lock_file(target).exists()
            assert not target.exists()
    assert time.monotonic() - begin < 1.5
    assert capsys.readouterr().err == ""
