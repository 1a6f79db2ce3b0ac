"""Whether a card says only things that are known: its kind, task, needs, encoder and claims, by key."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import get_args

from protocols.contract import Card, Kind, Published
from protocols.errors import did_you_mean

KINDS: tuple[str, ...] = get_args(Kind)


@dataclass(frozen=True)
class TaskFacts:
    """What cards of a task may name: needs, and the metrics of each protocol."""

    needs: tuple[str, ...]
    protocols: Mapping[str, tuple[str, ...]]


def card_problems(card: Card, *, tasks: Mapping[str, TaskFacts], encoders: Collection[str]) -> list[str]:
    """Everything on a card that nobody knows, each with the nearest known name; empty: the card conforms."""
    problems = []
    if not re.fullmatch(r"[a-z][a-z0-9_]*", card.name):
        problems.append(f"name {card.name!r} is not in lower_case_words")
    if not card.title.strip():
        problems.append("title is empty")
    problems += _unknown("kind", card.kind, KINDS)
    problems += _unknown("task", card.task, tasks)
    if card.task in tasks:
        for need in card.needs:
            problems += _unknown("needs", need, tasks[card.task].needs)
    for name in (*([card.encoder] if card.encoder else []), *card.starts_from):
        problems += _unknown("encoder", name, encoders)
    for name in card.checkpoints:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            problems.append(f"checkpoint {name!r} is not in lower_case_words")
    protocols = {name: metrics for facts in tasks.values() for name, metrics in facts.protocols.items()}
    for claim in card.published:
        problems += _claim_problems(claim, protocols)
    return problems


def _claim_problems(claim: Published, protocols: Mapping[str, tuple[str, ...]]) -> list[str]:
    if claim.protocol not in protocols:
        return _unknown("published protocol", claim.protocol, protocols)
    return (
        _unknown(f"published metric of {claim.protocol}", claim.metric, protocols[claim.protocol])
        if claim.metric
        else []
    )


def _unknown(what: str, name: str, known: Collection[str]) -> list[str]:
    return [] if name in known else [f"{what} {name!r} is unknown: {did_you_mean(name, known)}"]
