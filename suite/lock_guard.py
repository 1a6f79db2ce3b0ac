"""Stands by while DVC runs, and takes back what a kill leaves torn of DVC's own files.

DVC rewrites ``dvc.lock`` in place after each stage: it is empty for some hundredths of a second, and DVC refuses an
empty one for ever. Nothing that DVC starts is alive then, so the stage that always runs (plan) leaves this process
behind. It imports nothing that is not Python's, ends with DVC, and then puts back the lock as it stood when the run
began; what was finished since is taken from ``runs/cache``.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

LOCK = Path("dvc.lock")
BUSY = Path("tmp", "rwlock")
"""DVC's list of paths in use, below ``.dvc``; written in place, too."""


def stand_by(dvc: int, root: Path) -> subprocess.Popen[bytes]:
    """Start the guard of the DVC process ``dvc`` in a session of its own: a kill of DVC's whole group leaves it."""
    code = "import sys; sys.path.insert(0, sys.argv[3]); from suite.lock_guard import guard; guard(*sys.argv[1:3])"
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", code, str(dvc), str(root), str(Path(__file__).parents[1])],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def guard(dvc: str, root: str) -> None:
    from suite.processes import wait_for_end

    lock, busy = LOCK.absolute(), Path(root, ".dvc") / BUSY
    before = lock.read_bytes() if lock.exists() else b""
    wait_for_end(int(dvc))
    mend(lock, before)
    mend(busy, b"")


def mend(path: Path, before: bytes) -> None:
    """An empty file gets its earlier bytes back, or goes."""
    if not path.exists() or path.stat().st_size:
        return
    if not before:
        path.unlink()
        return
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(before)
    part.replace(path)
