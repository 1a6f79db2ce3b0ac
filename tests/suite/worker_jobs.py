"""What the tests of workers and locks have done in other processes (importable there, and quick to import)."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from protocols.errors import UserError
from suite.engine.locks import locked
from suite.workers import Job, run_jobs

STATE: list[int] = []
"""Changed by ``remember``: what one process's jobs would share."""


class TwoParts(Exception):
    """An error that cannot be pickled: its parts are not its arguments."""

    def __init__(self, what: str, number: int) -> None:
        super().__init__(f"{what} {number}")


def squared(number: int) -> tuple[int, int]:
    return number**2, os.getpid()


def remember(number: int) -> tuple[int, tuple[int, ...]]:
    """This process's number, and what its earlier jobs left behind."""
    before = tuple(STATE)
    STATE.append(number)
    return os.getpid(), before


def user_error(number: int) -> int:
    raise UserError("bad\tthing", where=Path("a/file"), expected="a good one", remedy="mend it")


def value_error(number: int) -> int:
    return int(f"not {number}")  # the line that the traceback must show


def two_parts(number: int) -> int:
    raise TwoParts("no pickle", number)


def leaves(number: int) -> int:
    sys.exit(0)


def dies(how: str) -> int:
    if how == "exit":
        os._exit(9)
    if how == "fork":  # a child of its own lives on and keeps the link of the dead open
        if os.fork() == 0:
            time.sleep(8)
        os._exit(9)
    os.kill(os.getpid(), getattr(signal, how))
    time.sleep(60)
    return 0


def unpicklable(number: int) -> object:
    return lambda: number


def fails_after_another(item: tuple[str, str]) -> str:
    """'good' is answered; 'bad' fails, when 'good' has been; 'slow' would go on for a minute."""
    kind, folder = item
    Path(folder, f"{kind}-{os.getpid()}").touch()
    if kind == "slow":
        time.sleep(60)
    if kind == "bad":
        while not any(Path(folder).glob("slow-*")):
            time.sleep(0.02)
        raise ValueError("the bad one")
    return kind


def ends_in_turn(item: tuple[str, str]) -> str:
    """'first' is answered at once, 'bad' fails once that is read, then 'second', and 'third' once that is read."""
    kind, folder = item
    before = {"first": None, "bad": "read-first", "second": "bad", "third": "read-second"}[kind]
    while before and not Path(folder, before).exists():
        time.sleep(0.02)
    if kind == "second":
        time.sleep(0.2)
    Path(folder, kind).touch()
    if kind == "bad":
        raise ValueError("the bad one")
    return kind


def starts_in_order(item: tuple[str, str]) -> None:
    name, folder = item
    Path(folder, f"{time.monotonic_ns():020d}-{name}").touch()


def how_many(folder: str) -> int:
    """The most jobs that were at work at once, this one included, while this one was."""
    mine = Path(folder, str(os.getpid()))
    mine.touch()
    most = 0
    for _ in range(10):
        most = max(most, len(list(Path(folder).iterdir())))
        time.sleep(0.01)
    mine.unlink()
    return most


def sleep_here(folder: str) -> None:
    Path(folder, str(os.getpid())).touch()
    time.sleep(120)


def compute_here(folder: str) -> None:
    """Holds the interpreter for hours: no other thread of the process comes to its turn."""
    Path(folder, str(os.getpid())).touch()
    sum(range(10**15))


def keep_busy(folder: str, work: str) -> None:
    """Two workers, one of them alone, that would be at it for minutes."""
    jobs = [Job(folder), Job(folder), Job(folder, alone=True)]
    for _ in run_jobs({"sleep": sleep_here, "compute": compute_here}[work], jobs, 3):
        pass


def make_once(folder: str, name: str, seconds: float) -> None:
    """Make a file, if no other has; say in ``made-<name>`` or ``found-<name>`` which it was."""
    target = Path(folder, "deep", "cell")
    with locked(target):
        Path(folder, f"holds-{name}").touch()
        if target.exists():
            Path(folder, f"found-{name}").touch()
            return
        time.sleep(seconds)
        target.write_text(name)
        Path(folder, f"made-{name}").touch()
