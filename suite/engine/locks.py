"""A lock per kept folder: two processes that want the same cell do not make it twice, nor each other's undone."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

PATIENCE_SECONDS = 2.0


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of ``path``; waits for another process that holds it and says so. A dead process holds none."""
    place = path.with_name(f".{path.name}.lock")
    place.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(place)
    try:
        lock.acquire(timeout=PATIENCE_SECONDS)
    except Timeout:
        print(f"waiting for another process that makes {path.name}", file=sys.stderr, flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
