"""One process at a time makes a thing: the others wait, then find it made."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

QUIET_SECONDS = 2.0
"""How long a process waits for another before it says so."""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the only right to make ``path`` (a file or a folder, which need not exist); its parents are made.

    The lock is on the hidden file ``.<name>.lock`` beside it, which stays behind. The system lets go of it when its
    process dies, however that dies. Whoever holds it looks first whether the thing is made by now.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(lock_file(path))
    try:
        lock.acquire(timeout=QUIET_SECONDS)
    except Timeout:
        print(f"waiting for another process that makes {path}", file=sys.stderr, flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def lock_file(path: Path) -> Path:
    return path.with_name(f".{path.name}.lock")
