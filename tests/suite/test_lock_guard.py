"""The guard of dvc.lock, beside a process that stands for DVC."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from suite.lock_guard import BUSY, LOCK, mend, stand_by

WHOLE = b"schema: '2.0'\n"


@pytest.mark.parametrize(
    ("before", "left", "after"),
    [
        (WHOLE, b"", WHOLE),
        (WHOLE, b"schema: '2.0'\nstages: {}\n", b"schema: '2.0'\nstages: {}\n"),
        (b"", b"", None),
        (WHOLE, None, None),
    ],
)
def test_only_an_empty_lock_is_mended(tmp_path: Path, before: bytes, left: bytes | None, after: bytes | None) -> None:
    lock = tmp_path / "dvc.lock"
    if left is not None:
        lock.write_bytes(left)
    mend(lock, before)
    assert (lock.read_bytes() if lock.exists() else None) == after
    assert [path.name for path in tmp_path.iterdir()] == ([] if after is None else ["dvc.lock"])


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="looks at descriptors of Linux")
def test_the_guard_acts_when_dvc_is_gone_and_ends_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    busy = tmp_path / ".dvc" / BUSY
    busy.parent.mkdir(parents=True)
    LOCK.write_bytes(WHOLE)
    dvc = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"])
    guard = stand_by(dvc.pid, tmp_path)
    until(lambda: asleep(guard.pid))
    LOCK.write_bytes(b"")
    busy.write_bytes(b"")
    assert os.getsid(guard.pid) == guard.pid
    assert guard.poll() is None
    dvc.kill()
    until(lambda: guard.poll() is not None)
    assert guard.returncode == 0
    assert LOCK.read_bytes() == WHOLE
    assert not busy.exists()
    dvc.wait()


def asleep(pid: int) -> bool:
    """Whether a process waits for another one's end: it holds a descriptor of it."""
    try:
        return any("pidfd" in str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir())
    except FileNotFoundError:  # one was closed while it was looked at
        return False


def until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.05)
