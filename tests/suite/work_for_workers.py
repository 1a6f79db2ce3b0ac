"""Work that the tests of workers hand out; importable by name from another process."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from protocols.errors import UserError


def double(item: int) -> tuple[int, int]:
    return 2 * item, os.getpid()


def fails(item: str) -> None:
    if item == "user":
        raise UserError("no file", where="here", expected="a file", remedy="bring one")
    if item == "value":
        raise ValueError("the real line")
    if item == "exit":
        os._exit(9)
    if item == "killed":
        os.kill(os.getpid(), 9)


def leaves_a_mark(item: str) -> tuple[bool, int]:
    seen = "a_mark_of_a_job" in sys.modules
    sys.modules["a_mark_of_a_job"] = sys
    return seen, os.getpid()


def modules(item: str) -> list[str]:
    return sorted(name for name in sys.modules if name.startswith(("suite", "tests", "pytest", "typer")))


def sleeps(item: str) -> None:
    Path(item).write_text(str(os.getpid()))
    time.sleep(600)
