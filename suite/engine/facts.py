"""What cards may name: each task's needs, and each protocol's metrics; from the registry, so a third party's count.

One function says what is wrong with a card, for a run and for `slide2omics check` alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from protocols.cards import TaskFacts, card_problems
from protocols.contract import Card
from protocols.protocol import Protocol
from protocols.registry import load_protocol, load_task, protocol_modules, task_modules
from suite.engine.closure import folder_of


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


def problems_of(
    card: Card, start: str | Path, facts: Mapping[str, TaskFacts], encoders: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """Everything for which a run would refuse the card. ``start``: the model's module or file; ``encoders``: the run's
    own."""
    from baselines.encoders.entries import known_encoders

    folder = folder_of(start)
    missing = [f"file {name!r} is not in {folder}" for name in card.files if not (folder / name).is_file()]
    return [*card_problems(card, tasks=facts, encoders=known_encoders(encoders)), *missing]
