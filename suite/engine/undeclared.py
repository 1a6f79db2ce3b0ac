"""What a model from outside reads beside its own file must be declared on its card, or an edit of it would go unseen.

Python tells of every file that is opened (``sys.addaudithook``); what counts is a file below the model's folder, opened
to be read, by a line of the model's own and not by ours on its behalf. What a library opens without Python's knowledge
(HDF5, some of PyTorch) is not seen.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from protocols.contract import Card
from protocols.errors import UserError
from suite.engine.closure import CHECKOUT, FLOORS

CODE = (".py", ".pyc", ".so")
_OURS = tuple(f"{CHECKOUT / floor}{os.sep}" for floor in FLOORS)
_watched: list[tuple[Path, dict[Path, str]]] = []
_hooked: list[bool] = []

Read = dict[Path, str]
"""File to the line that opened it."""


@contextmanager
def reading(folder: Path | None) -> Iterator[Read]:
    """Yields the files below ``folder`` that code of that folder reads within the block; None: nobody is watched."""
    found: Read = {}
    if folder is None:
        yield found
        return
    if not _hooked:
        sys.addaudithook(_heard)  # stays for as long as the process; it hears nothing once the block has ended
        _hooked.append(True)
    _watched.append((folder.resolve(), found))
    try:
        yield found
    finally:
        _watched.pop()


def refuse_undeclared(card: Card, folder: Path | None, read: Read) -> None:
    for path, line in sorted(read.items()):
        if folder is not None and (name := path.relative_to(folder.resolve()).as_posix()) not in card.files:
            raise UserError(
                f"{card.name} reads {name}, which its card does not declare", where=line,
                expected="every data file beside a model on its card, so that an edit of it makes its answers anew",
                remedy=f"add it: files=({name!r},)",
            )  # fmt: skip


def home_of(start: str | Path) -> Path | None:
    """The folder of a model's own file; of an installed package the version counts, and nothing is watched."""
    return start.parent if isinstance(start, Path) else None


def _heard(event: str, given: tuple[Any, ...]) -> None:
    if event != "open" or not _watched or not isinstance(given[0], str | bytes | os.PathLike):
        return
    mode = given[1]
    if isinstance(mode, str) and not set(mode).isdisjoint("wxa"):
        return
    folder, found = _watched[-1]
    path = Path(os.fsdecode(given[0])).resolve()
    if path.suffix in CODE or not path.is_relative_to(folder) or not path.is_file():
        return
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith(_OURS):
            return
        if _is_own(name, folder):
            found.setdefault(path, f"{name}:{frame.f_lineno}")
            return
        frame = frame.f_back


def _is_own(name: str, folder: Path) -> bool:
    """Whether a source file is the model's or lies beside it, and is of no library that lies below, too."""
    path = Path(name).resolve()
    return path.is_relative_to(folder) and not path.is_relative_to(sys.prefix)
