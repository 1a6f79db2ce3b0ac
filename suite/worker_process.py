"""What runs in a worker process: one job after the other, until its link or its parent ends."""

from __future__ import annotations

import atexit
import ctypes
import multiprocessing
import os
import pickle
import signal
import sys
import textwrap
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from typing import Any, NoReturn, TypeVar

from protocols.errors import UserError

Item = TypeVar("Item")
Answer = TypeVar("Answer")
PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Done:
    """A job's answer."""

    answer: Any


@dataclass(frozen=True)
class Failed:
    """A job's error, pickled by itself: its class may be a model's own, which only this process could import."""

    pickled: bytes | None
    headline: str
    trace: str


def serve(link: Connection, of_main_thread: bool) -> None:
    """Answer each (work, item) of the link with what became of it; ends the process when the link ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to act on, and it ends its workers
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    _die_with_parent(of_main_thread)
    while True:
        try:
            message = link.recv_bytes()
        except (EOFError, ConnectionResetError):
            _leave()
        link.send_bytes(_outcome(message))


def do(work: Callable[[Item], Answer], item: Item) -> Answer:
    """``work(item)``; code that ends the program is an error, not the end of a run that then looks finished."""
    try:
        return work(item)
    except SystemExit as stop:
        raise UserError(
            f"sys.exit({stop.code!r}) was called",
            where=name_of(item),
            expected="an answer or an error",
            remedy="raise an error there instead",
        ) from stop


def name_of(item: object) -> str:
    """An item in a message: one line, not too long."""
    return textwrap.shorten(str(item), 160, placeholder=" ...")


def raisable(failed: Failed, item: object) -> BaseException:
    """A job's error, as itself where its class is known here, with the worker's traceback as a note."""
    try:
        if failed.pickled is None:
            raise pickle.PicklingError(failed.headline)
        error: BaseException = ForkingPickler.loads(failed.pickled)
    except Exception:  # whatever a foreign class raises when it is imported or made: its headline says as much
        error = RuntimeError(failed.headline)
    if not isinstance(error, UserError):
        error.add_note(f"In the process that worked on {name_of(item)}:\n{failed.trace}")
    return error


def _outcome(message: bytes) -> bytes:
    """Do the job of a message; its answer or its error, pickled.

    By plain pickle: torch teaches multiprocessing to send tensors as handles, which die with the process they are of.
    """
    try:
        work, item = ForkingPickler.loads(message)
        return pickle.dumps(Done(do(work, item)))
    except BaseException as error:  # reported, and raised in the parent
        return pickle.dumps(_failed(error))


def _failed(error: BaseException) -> Failed:
    frames = error.__traceback__
    while frames and frames.tb_frame.f_code.co_filename == __file__:
        frames = frames.tb_next  # what is of interest begins where this file ends
    trace = "".join(traceback.format_exception(type(error), error, frames)).rstrip()
    try:
        pickled = pickle.dumps(error)
    except Exception:  # an error that holds something that cannot travel: its headline and its traceback do
        pickled = None
    return Failed(pickled, f"{type(error).__name__}: {error}", trace)


def _die_with_parent(of_main_thread: bool) -> None:
    """End this process when its parent ends, however that ends.

    A thread waits for the parent everywhere. It needs the interpreter, which a long computation in C may hold; so on
    Linux the kernel kills as well. The kernel's parent is the thread that started us: only the main one lives as long.
    """
    threading.Thread(target=_watch_parent, daemon=True, name="watch the parent").start()
    if of_main_thread and sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def _watch_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()  # blocks on a pipe whose other end only the parent holds
        os._exit(1)


def _leave() -> NoReturn:
    """End the process, its exit handlers run, without tearing the interpreter down.

    On a busy machine a thread of a library can outlive the interpreter, and the C++ runtime then aborts.
    """
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
