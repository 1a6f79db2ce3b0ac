"""Processes that live as long as another one and no longer, however that one ends."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
import threading
import time
from pathlib import Path

_DIES_WITH_PARENT = 1
"""``PR_SET_PDEATHSIG`` of Linux's prctl."""
_SECONDS_BETWEEN_LOOKS = 0.2
STAGE = "DVC_STAGE"
"""DVC sets it for the command of a stage."""


def is_alive(pid: int) -> bool:
    """Whether a process of this number is at work; one that ended and was not asked for yet is not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return _field(pid, 0) != "Z"


def die_with_parent(parent: int) -> None:
    """Let the system end this process with ``parent``, at once if that is gone already. Linux alone can."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_DIES_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def wait_for_end(pid: int) -> None:
    """Return when a process that is not a child of this one has ended."""
    if hasattr(os, "pidfd_open"):
        try:
            held = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        except OSError:  # a system that forbids it: look from time to time
            held = -1
        if held >= 0:
            select.select([held], [], [])
            os.close(held)
            return
    while is_alive(pid):
        time.sleep(_SECONDS_BETWEEN_LOOKS)


def dvc_above() -> int | None:
    """The DVC process that runs this stage, or None if DVC does not. A shell may stand between the two.

    A stage whose DVC was killed before it could look is nobody's, and ends.
    """
    if STAGE not in os.environ:
        return None
    pid = os.getppid()
    while pid > 1 and _has_this_stage(pid):
        pid = _parent_of(pid)
    if os.getsid(pid) != os.getsid(0):
        os._exit(1)
    return pid


def end_with(pid: int) -> None:
    """End this process as soon as ``pid`` has ended: what it had finished is kept, what it was at is not."""

    def watch() -> None:
        wait_for_end(pid)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _has_this_stage(pid: int) -> bool:
    """Whether a process was started for the stage that this one is."""
    mark = f"{STAGE}={os.environ[STAGE]}".encode()
    try:
        return mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False


def _parent_of(pid: int) -> int:
    return int(_field(pid, 1) or 0)


def _field(pid: int, number: int) -> str:
    """State (0) or parent (1) of a process, where the system tells; empty where it does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[number]
    except OSError:
        return ""
