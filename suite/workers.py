"""Work on several processes that live as long as their parent and no longer; results never depend on how many.

A worker is started by ``python -c`` and not by multiprocessing's own preparation, which would import the parent's main
module into it: what a worker imports is what its work imports.
"""

from __future__ import annotations

import builtins
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path
from typing import Any, Generic, TypeVar

from protocols.errors import UserError
from suite.processes import die_with_parent

Item = TypeVar("Item")
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Job(Generic[Item]):
    """One piece of work. ``weight``: heavier ones are begun first; ``alone``: in a process of its own that does nothing
    before or after (models from outside)."""

    item: Item
    weight: float = 1.0
    alone: bool = False


class WorkerError(Exception):
    """Stands for an error of a worker that cannot travel itself; its text is the worker's traceback."""


@dataclass
class _Worker:
    process: subprocess.Popen[bytes]
    connection: Connection
    lifeline: Connection
    job: Job[Any] | None = None

    def end(self) -> None:
        self.connection.close()
        self.lifeline.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def run_jobs(work: Callable[[Item], Answer], jobs: Sequence[Job[Item]], workers: int) -> Iterator[tuple[Item, Answer]]:
    """Yield (item, answer) as they are done, in no fixed order; ``work`` must be importable.

    With one worker, or one job, the work is done here, but for jobs that are ``alone``. An error ends the other workers
    at once and is raised here as it was raised there; a worker that dies names its job.
    """
    left = sorted(jobs, key=lambda job: -job.weight)
    if workers == 1 or sum(not job.alone for job in left) == 1:
        for own in [job for job in left if not job.alone]:
            yield own.item, work(own.item)
        left = [job for job in left if job.alone]
    yield from _in_processes(work, left, workers)


def _in_processes(work: Callable[[Item], Answer], left: list[Job[Item]], workers: int) -> Iterator[tuple[Item, Answer]]:
    idle: list[_Worker] = []
    busy: dict[Connection, _Worker] = {}
    try:
        while left or busy:
            while left and len(busy) < workers:
                following = left.pop(0)
                worker = _started() if following.alone or not idle else idle.pop()
                worker.job = following
                worker.connection.send((f"{work.__module__}:{work.__qualname__}", following.item))
                busy[worker.connection] = worker
            done = [busy.pop(one) for one in wait(list(busy)) if isinstance(one, Connection)]
            answers = [(worker, worker.job, _received(worker)) for worker in done]
            for worker, job, (answer, error) in answers:
                if error is None and job is not None:
                    if job.alone or not left:
                        worker.end()
                    else:
                        idle.append(worker)
                    yield job.item, answer
                else:
                    worker.end()
            for _, _, (_, error) in answers:
                if error is not None:
                    raise error
    finally:
        for worker in (*idle, *busy.values()):
            worker.end()


def _started() -> _Worker:
    ours, theirs = Pipe()
    lifeline, held = Pipe(duplex=False)
    command = [
        sys.executable,
        "-c",
        f"from suite.workers import _serve; _serve({theirs.fileno()}, {lifeline.fileno()}, {os.getpid()})",
    ]
    path = os.pathsep.join(sys.path)
    process = subprocess.Popen(
        command, pass_fds=(theirs.fileno(), lifeline.fileno()), env=os.environ | {"PYTHONPATH": path}
    )
    theirs.close()
    lifeline.close()
    return _Worker(process, ours, held)


def _received(worker: _Worker) -> tuple[Any, BaseException | None]:
    try:
        answer, error, told = worker.connection.recv()
    except (EOFError, OSError):
        code = worker.process.wait()
        how = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with status {code}"
        died = UserError(
            f"its process ended {how}", where=worker.job.item if worker.job else "a worker", expected="an answer",
            remedy="if memory ran out, lower `workers`; the same command goes on",
        )  # fmt: skip
        return None, died
    if error is None:
        return answer, None
    raised = _raised(error)
    if not isinstance(raised, UserError):
        raised.add_note(f"in a worker process:\n{told}")
    return None, raised


def _told(error: BaseException) -> tuple[str, ...]:
    """An error as plain text: anything richer might not travel."""
    if isinstance(error, UserError):
        return ("UserError", error.what, error.where, error.expected, error.remedy)
    return (type(error).__name__, str(error))


def _raised(told: tuple[str, ...]) -> BaseException:
    """The error itself where it is a user's or Python's own, or a :class:`WorkerError` with its name."""
    name, *parts = told
    if name == "UserError":
        what, where, expected, remedy = parts
        return UserError(what, where=where, expected=expected, remedy=remedy)
    kind = getattr(builtins, name, None)
    if isinstance(kind, type) and issubclass(kind, Exception) and not issubclass(kind, UnicodeError):
        found: BaseException = kind(*parts)
        return found
    return WorkerError(f"{name}: {parts[0]}")


def _serve(connection: int, lifeline: int, parent: int) -> None:
    """What a worker does: one item after another, until the parent closes the pipe or is no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to all; the parent ends its workers
    _die_with_parent(lifeline, parent)
    pipe = Connection(connection)
    while True:
        try:
            target, item = pipe.recv()
        except (EOFError, OSError):
            os._exit(0)
        try:
            answer: tuple[Any, tuple[str, ...] | None, str] = (_loaded(target)(item), None, "")
        except BaseException as error:
            answer = (None, _told(error), traceback.format_exc())
        sys.stdout.flush()
        sys.stderr.flush()
        pipe.send(answer)


def _loaded(target: str) -> Callable[[Any], Any]:
    from importlib import import_module

    module, _, name = target.partition(":")
    found: Any = import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    work: Callable[[Any], Any] = found
    return work


def _die_with_parent(lifeline: int, parent: int) -> None:
    die_with_parent(parent)

    def watch() -> None:
        # Nothing is ever sent: the read returns when the other end is gone, however the parent ended.
        try:
            os.read(lifeline, 1)
        finally:
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def forget_peak_memory() -> None:
    """Let :func:`peak_memory_mib` speak of what follows; where the system cannot (not Linux), it tells the whole."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_memory_mib() -> int:
    """The largest resident size of this process so far, or since :func:`forget_peak_memory`."""
    status = Path("/proc/self/status")
    if status.is_file():
        peak = re.search(r"VmHWM:\s+(\d+) kB", status.read_text(encoding="ascii", errors="replace"))
        if peak:
            return round(int(peak[1]) / 1024)
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2))
