"""What the two protocols that SEQUOIA's paper asks are."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BulkProtocol:
    """A question put to models of bulk expression. A change that moves a score raises ``version``."""

    name: str
    version: str
    title: str
    question: str
    source: str
    target: str
    headline: str
    folds: int = 5
    disjoint: tuple[str, ...] = ("patient",)
