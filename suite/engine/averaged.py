"""Which cohorts a task's mean is over: scoring takes it, and the audit holds them to be other people."""

from __future__ import annotations

from protocols.errors import look_up
from protocols.protocol import Protocol
from suite.engine.run import Run


def averaged(run: Run, protocol: Protocol) -> list[str]:
    """Cohorts of the average; each must be a board of the protocol."""
    boards = {board.name for board in run.boards_of(protocol)}
    listed = next(iter(run.requests(protocol.task, scoring=True).values())).settings
    wanted = [name for name in getattr(listed, "average", None) or () if not protocol.answered_by]
    if wanted and not set(wanted) & boards:
        return []
    for name in wanted:
        look_up(name, dict.fromkeys(boards), kind="cohort", where=f"tasks.{protocol.task}.average")
    return wanted
