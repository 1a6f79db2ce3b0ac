"""Jobs on several processes; results never depend on how many.

A job that fails stops the others; a process that dies is named with its job; and no process outlives the one that
started it, however that ends (see ``suite/worker_process.py``).
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import pickle
import resource
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from typing import Any, Generic, TypeVar

from protocols.errors import UserError
from suite.worker_process import Done, Failed, do, name_of, raisable, serve

Item = TypeVar("Item")
Answer = TypeVar("Answer")
SPAWN = multiprocessing.get_context("spawn")
SECONDS_TO_LEAVE = 10.0
"""How long a process that is dismissed may take to end by itself."""
SECONDS_BETWEEN_LOOKS = 1.0
"""A dead process is normally noticed at once; where a child of its own keeps its link open, after this long."""


@dataclass(frozen=True)
class Job(Generic[Item]):
    """One piece of work. ``item`` is picklable."""

    item: Item
    weight: float = 1.0
    """Heavier ones start first, so that the last process to finish has little left."""
    alone: bool = False
    """In a fresh process of its own that runs nothing before or after (a model from outside)."""


def run_jobs(work: Callable[[Item], Answer], jobs: Sequence[Job[Item]], workers: int) -> Iterator[tuple[Item, Answer]]:
    """Yield (item, answer) as they are done, in no fixed order; ``work`` is importable.

    At most ``workers`` work at once. With one worker, or one job that is not ``alone``, such jobs run in this process.
    The first error of a job is raised here, as itself and with the worker's own traceback as a note, after the answers
    that were there by then; a process that dies is a :class:`UserError` that names its job.
    """
    crew = _Crew(work, jobs, max(1, workers))
    failure: BaseException | None = None
    atexit.register(crew.kill)  # before multiprocessing's own, which would wait for them
    try:
        while crew.has_work() or failure is not None:
            finished = crew.go_on() if failure is None else crew.finished(patience=0.0)
            for item, outcome in finished:
                if isinstance(outcome, Done):
                    yield item, outcome.answer
                elif failure is None:
                    failure = outcome
            if failure is not None and not finished:
                raise failure
        crew.dismiss()
    finally:
        crew.kill()
        atexit.unregister(crew.kill)


def peak_memory_mib() -> int:
    """The most memory that this process has held so far."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2))


class _Worker(Generic[Item]):
    """One process: busy with a job, idle, or leaving (its link is closed)."""

    def __init__(self) -> None:
        self.link, self._theirs = SPAWN.Pipe()
        in_main_thread = threading.current_thread() is threading.main_thread()
        self.process = SPAWN.Process(target=serve, args=(self._theirs, in_main_thread))
        self.job: Job[Item] | None = None
        self.leaves_by: float | None = None

    def start(self) -> None:
        """Start the process, deaf to Ctrl-C from its first moment: the terminal sends it to the whole group."""
        resource_tracker.ensure_running()  # here, because it unblocks the signal when it starts
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self.process.start()
            self._theirs.close()  # so that the link ends with the process
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def give(self, work: Callable[[Item], Any], job: Job[Item]) -> None:
        message = pickle.dumps((work, job.item))
        self.job = job
        # A process that died before it had the job is noticed by is_done, like one that dies at it.
        with suppress(BrokenPipeError, ConnectionResetError):
            self.link.send_bytes(message)

    @property
    def idle(self) -> bool:
        return self.job is None and self.leaves_by is None

    def is_done(self) -> bool:
        """Whether its job has an outcome (its death is one)."""
        return self.job is not None and (self.link.poll() or not self.process.is_alive())

    def outcome(self, job: Job[Item]) -> Done | BaseException:
        """What became of its job: its answer, its error, or the process's death; then it is idle or leaves."""
        self.job = None
        try:
            if not self.link.poll():
                raise EOFError  # it is dead, and a child of its own keeps the link open
            answer = self.link.recv()
        except (EOFError, ConnectionResetError):
            self.process.join(SECONDS_TO_LEAVE)
            return _death(job.item, self.process.exitcode)
        except Exception as error:  # an answer of a class that cannot be imported here
            return error
        if job.alone:
            self.dismiss()
        return raisable(answer, job.item) if isinstance(answer, Failed) else answer

    def dismiss(self) -> None:
        """Let it end by itself, within a time."""
        if self.leaves_by is None:
            self.leaves_by = time.monotonic() + SECONDS_TO_LEAVE
            self.link.close()

    def is_gone(self) -> bool:
        if self.leaves_by is not None and time.monotonic() > self.leaves_by:
            self.process.kill()
        return self.job is None and not self.process.is_alive()


class _Crew(Generic[Item]):
    """The jobs that wait, and the processes that live."""

    def __init__(self, work: Callable[[Item], Any], jobs: Sequence[Job[Item]], workers: int) -> None:
        # At equal weight those that share come first: a process that makes room for one alone has to be started anew.
        self.waiting = deque(sorted(jobs, key=lambda job: (-job.weight, job.alone)))
        self.work, self.workers, self.owner = work, workers, os.getpid()
        self.shared_here = workers == 1 or sum(not job.alone for job in jobs) == 1
        self.staff: list[_Worker[Item]] = []

    def has_work(self) -> bool:
        return bool(self.waiting) or any(worker.job for worker in self.staff)

    def go_on(self) -> list[tuple[Item, Done | BaseException]]:
        """Hand out what there is room for, do what is to be done here, else wait; what is finished by then."""
        job = self._hand_out()
        if job is None:
            return self.finished(patience=SECONDS_BETWEEN_LOOKS)
        outcome: Done | BaseException
        try:
            outcome = Done(do(self.work, job.item))
        except Exception as error:  # raised by run_jobs, after the answers of others
            outcome = error
        return [(job.item, outcome), *self.finished(patience=0.0)]

    def finished(self, patience: float) -> list[tuple[Item, Done | BaseException]]:
        """The jobs that are finished, after at most ``patience`` seconds; forgets the processes that are gone."""
        ends: list[Any] = [worker.process.sentinel for worker in self.staff]
        ends += [worker.link for worker in self.staff if worker.job]
        if ends:
            wait(ends, patience)
        done = [(worker.job, worker) for worker in self.staff if worker.is_done()]
        outcomes = [(job.item, worker.outcome(job)) for job, worker in done if job]
        self.staff = [worker for worker in self.staff if not worker.is_gone()]
        return outcomes

    def _hand_out(self) -> Job[Item] | None:
        """Give jobs to processes while there is room, the heaviest first; returns one that is to be done here."""
        here: Job[Item] | None = None
        while self.waiting:
            job = self.waiting[0]
            idle = next((worker for worker in self.staff if worker.idle), None)
            if not job.alone and idle:
                idle.give(self.work, self.waiting.popleft())
            elif len(self.staff) + (here is not None) >= self.workers:
                if idle and not any(worker.leaves_by for worker in self.staff):
                    idle.dismiss()  # it makes room for the job that must have a process of its own
                return here
            elif not job.alone and self.shared_here:
                here = self.waiting.popleft()
            else:
                worker: _Worker[Item] = _Worker()
                self.staff.append(worker)
                worker.start()
                worker.give(self.work, self.waiting.popleft())
        for worker in self.staff:
            if worker.idle:
                worker.dismiss()  # nothing is left for it, and it holds memory
        return here

    def dismiss(self) -> None:
        """Let all end by themselves, within a time."""
        for worker in self.staff:
            worker.dismiss()
        for worker in self.staff:
            worker.process.join(SECONDS_TO_LEAVE)

    def kill(self) -> None:
        """End all that still live, whatever they do."""
        if os.getpid() != self.owner:
            return  # a forked copy of this process holds a copy of this object, not its workers
        started = [worker for worker in self.staff if worker.process.pid is not None]
        for worker in started:
            worker.process.kill()
        for worker in started:
            worker.process.join()


def _death(item: object, exit_code: int | None) -> UserError:
    """The error of a process that ended without an answer."""
    remedy = "if memory ran out, set fewer `workers` in params.yaml; else look above for what it printed"
    if exit_code is None:
        how = "closed its link to this one"
    elif exit_code >= 0:
        how, remedy = f"ended with status {exit_code}", "look above for what it printed; code must not end its process"
    else:
        known = {number.value: number.name for number in signal.Signals}
        how = f"was killed by {known.get(-exit_code, f'signal {-exit_code}')}"
    return UserError(
        f"a worker process {how}", where=name_of(item), expected="a process that lives until it answers", remedy=remedy
    )


WORTH_STARTING_SECONDS = 8.0
"""Work left, by the first item's time, from which a second process earns its start (imports take seconds)."""


def in_parallel(
    work: Callable[[Item], Answer],
    items: Sequence[Item],
    workers: int,
    *,
    at_once: bool = False,
    worth_seconds: float = WORTH_STARTING_SECONDS,
) -> Iterator[tuple[Item, Answer]]:
    """Yield (item, answer) as they are done, in no fixed order.

    ``work`` and the items must be importable and picklable. The first item runs here, and processes are started only
    if what is left is worth it (``worth_seconds`` by the time of the first, which is the largest where items are sorted
    so), or ``at_once`` if it is known to be. An error in a process is raised here.
    """
    left = list(items)
    if not at_once or workers == 1:
        while left:
            start = time.monotonic()
            item = left.pop(0)
            yield item, work(item)
            if workers > 1 and (time.monotonic() - start) * len(left) > worth_seconds:
                break
    if not left:
        return
    with ProcessPoolExecutor(min(workers, len(left)), multiprocessing.get_context("spawn")) as pool:
        futures = {pool.submit(work, item): item for item in left}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
