"""Answers about a file that hold for as long as the file is the same: read once, asked a hundred times."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

YOUNG_NS = 100_000_000
"""A file changed so shortly ago may change again within one tick of the file system's clock: it is read each time."""


def state_of(path: str) -> tuple[int, int, int]:
    """Inode, time of change in ns and size in bytes of a file or folder."""
    found = os.stat(path)  # noqa: PTH116 (asked tens of thousands of times: a Path would cost as much as the call)
    return found.st_ino, found.st_mtime_ns, found.st_size


def is_young(state: tuple[int, int, int]) -> bool:
    return abs(time.time_ns() - state[1]) < YOUNG_NS


def remembered_by_content(answer: Callable[Concatenate[str, P], T]) -> Callable[Concatenate[str, P], T]:
    """Call ``answer(path, ...)`` once for each :func:`state_of` the file."""
    known: dict[object, T] = {}

    @wraps(answer)
    def ask(path: str, /, *args: P.args, **kwargs: P.kwargs) -> T:
        state = state_of(path)
        key = (path, state, args, tuple(kwargs.items()))
        if key in known:
            return known[key]
        found = answer(path, *args, **kwargs)
        if not is_young(state):
            known[key] = found
        return found

    return ask
