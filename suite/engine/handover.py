"""Puts all boards of a submission in their places together, whenever the process is killed.

What is finished waits whole under ``runs/cache/handovers`` until every board stands: a kill before that leaves the
older submission, and one after it is made good by whoever hands in or reads submissions next.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from protocols.sealed import put_in_place
from suite.engine.locks import locked
from suite.places import CACHE, SUBMISSIONS, submission_folder

HANDOVERS = CACHE / "handovers"
BOARDS_FILE = "boards.json"


def hand_over(records: Path, protocol: str, model: str) -> None:
    """``records`` holds one finished folder a board. They replace all that the model handed in before, or nothing."""
    boards = sorted(folder.name for folder in records.iterdir())
    (records / BOARDS_FILE).write_text(json.dumps([protocol, model, boards]), encoding="utf-8")
    waiting = HANDOVERS / f"{protocol}@{model}"
    with locked(waiting):
        put_in_place(records, waiting)
        _finish(waiting)


def finish_handovers() -> None:
    """End what a killed process had begun."""
    for waiting in sorted(HANDOVERS.glob("[!.]*@*")):  # one with a dot is somebody's own, or nobody's any more
        with locked(waiting):
            if waiting.is_dir():  # or another process was at it, and is done
                _finish(waiting)


def _finish(waiting: Path) -> None:
    protocol, model, boards = json.loads((waiting / BOARDS_FILE).read_text(encoding="utf-8"))
    for name in boards:
        # Beside what waits and not beside its place: a kill leaves nothing there that looks like a submission.
        part, out = _aside(waiting), submission_folder(protocol, name, model)
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(waiting / name, part)  # a copy: what waits stays whole until every board stands
        put_in_place(part, out)
    for other in (SUBMISSIONS / protocol).glob(f"*/{model}"):
        if other.parent.name not in boards:
            shutil.rmtree(other)
    gone = _aside(waiting)
    waiting.replace(gone)
    shutil.rmtree(gone)


def _aside(waiting: Path) -> Path:
    """A name that :func:`suite.engine.store.sweep` knows once this process is gone."""
    return waiting.with_name(f".{waiting.name}.{os.getpid()}.part")
