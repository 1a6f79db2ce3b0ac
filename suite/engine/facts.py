"""What cards may name: each task's needs, and each protocol's metrics; from the registry, so a third party's count."""

from __future__ import annotations

from collections.abc import Iterable

from protocols.cards import TaskFacts
from protocols.protocol import Protocol
from protocols.registry import load_protocol, load_task, protocol_modules, task_modules


def task_facts(more: Iterable[Protocol] = ()) -> dict[str, TaskFacts]:
    """``more``: protocols that a run's file brings as files."""
    protocols = [*(load_protocol(name) for name in protocol_modules()), *more]
    return {
        name: TaskFacts(
            needs=load_task(name).needs,
            protocols={one.name: tuple(m.key for m in one.metrics) for one in protocols if one.task == name},
        )
        for name in task_modules()
    }
